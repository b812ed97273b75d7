"""The one forward pass of quantized networks: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from ...errors import PumiceError
from ...program.clock import ticks
from ...program.formats import Format
from ..operations import LayerNormTerms, Times, layer_norm, pool, read_out, shared_dropout, token_index
from ..output import QuantizedOutput
from ..quantizers import Quantizers, store
from ..rounding import pow2_quantize
from ..scan import DecayTable, quantized_scan
from ..straight_through import require_finite
from ..tracing import NOTHING, Recorder
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, NetworkFormats


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """Quantized weights of one layer, as values; P modes, H inputs, O outputs.

    Attributes:
        geometry: where the layer lies.
        formats: of its edges.
        norm: of layer norm, or (H,) each of batch norm.
        drive: (2P, H), to the state's units.
        drive_bias: (2P,).
        table: decays.
        rate: (P,) complex, a tick's exponent; for the gradient alone.
        output: (O, 2P), from what is read of the state's codes.
        feedthrough: (H,) or (O, H).
        bias: (O,).
        out: what follows C x + D u.
        skip: (O, H) and (O,), or None.
        dropout: probability while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    geometry: Geometry
    formats: LayerFormats
    norm: LayerNormTerms | FoldedNorm[Tensor]
    drive: Tensor
    drive_bias: Tensor
    table: DecayTable
    rate: Tensor
    output: Tensor
    feedthrough: Tensor
    bias: Tensor
    out: QuantizedOutput
    skip: FoldedLinear[Tensor] | None
    dropout: float = 0.0
    quantizers: Quantizers | None = None

    def store(self, edge: str, x: Tensor, format: Format) -> Tensor:
        """See `store`."""
        return store(self.quantizers, edge, x, format)


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Quantized weights of the network, as values.

    Attributes:
        formats: of its edges.
        embedding: (V, H) for tokens, or the encoder's (H, d) for dense input.
        encoder_bias: (H,) for dense input, else None.
        layers: all stages in a row.
        head: "pool", "timepool" or "last".
        decoder, decoder_bias: (C, H), (C,).
        logits: the format of the logits, None where they are not traced.
        tick_us: length of a tick.
        weight_us: unit of the weights of timepool.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    formats: NetworkFormats
    embedding: Tensor
    encoder_bias: Tensor | None
    layers: tuple[QuantizedLayer, ...]
    head: str
    decoder: Tensor
    decoder_bias: Tensor
    logits: Format | None
    tick_us: int
    weight_us: int
    quantizers: Quantizers | None = None

    def store(self, edge: str, x: Tensor, format: Format) -> Tensor:
        """See `store`."""
        return store(self.quantizers, edge, x, format)


def integer_gaps(dt: Tensor, unit_us: int) -> Tensor:
    """Gaps (B, L) in units of ``unit_us`` from intervals in ms, through the rounded absolute times.

    Intervals are read to the microsecond; those that already are multiples of the unit stay what they are.

    Raises:
        PumiceError: an interval below 0.
    """
    microseconds = torch.round(dt.double() * 1000).to(torch.int64)
    if (microseconds < 0).any():
        raise PumiceError(f"an interval of {float(dt.min())} ms runs backwards; sort the events by time first")
    absolute = torch.cumsum(microseconds, 1)
    rounded = torch.from_numpy(ticks(absolute.cpu().numpy(), unit_us)).to(dt.device)
    return torch.diff(rounded, dim=1, prepend=rounded.new_zeros(len(rounded), 1))


def run_network(
    network: QuantizedNetwork,
    tokens: Tensor,
    dt: Tensor,
    lengths: Tensor,
    pool_dt: Tensor | None,
    training: bool = False,
    record: Recorder = NOTHING,
) -> Tensor:
    """Logits (B, C) of a padded batch (arguments as `EventClassifier.forward`).

    ``record`` is shown every node and state.

    Raises:
        PumiceError: tokens outside the vocabulary, input that is not finite, or shapes that do not fit.
    """
    dtype = network.decoder.dtype
    weight = integer_gaps(dt if pool_dt is None else pool_dt, network.weight_us)
    times = Times(integer_gaps(dt, network.tick_us), weight, lengths)
    total_weight = weight.sum(1)
    x, index = _embed(network, tokens, times, dtype, record)
    for layer in network.layers:
        x, times = run_layer(layer, x, index, times, training, record)
        index = None
    formats = network.formats
    residual = formats.layers[-1].output
    value = read_out(x, times, total_weight, network.head, residual, formats.readout)
    record("readout", value, formats.readout)
    logits = linear(value, network.decoder, network.decoder_bias)
    if network.logits is not None:
        record("decoder", logits, network.logits)
    return logits


def run_layer(
    layer: QuantizedLayer,
    x: Tensor,
    index: Tensor | None,
    times: Times,
    training: bool,
    record: Recorder,
) -> tuple[Tensor, Times]:
    """One layer. x (B, L, H) values on the grid of the residual stream, or, with ``index`` (B, L) of tokens, a table
    (V, H) of them: what acts on single events is then computed once a token.
    """
    c, formats, geometry = layer, layer.formats, layer.geometry
    name, stride = geometry.node, geometry.stride

    def at(table: Tensor) -> Tensor:
        return table if index is None else embedding(index, table)

    if isinstance(c.norm, LayerNormTerms):
        u = layer_norm(x, c.norm, formats.input, formats.u)
    else:
        u = c.store("u", x * c.norm.multiplier + c.norm.offset, formats.u)
    drive = at(linear(u, c.drive, c.drive_bias))
    u = at(u)
    record(name("norm"), u, formats.u)
    states = quantized_scan(
        drive,
        times.gap,
        c.table,
        c.rate,
        formats.state.min,
        formats.state.max,
        hold=geometry.discretization == "zoh",
        sample_every=1 if record.listens else stride,
    ).states
    record(name("ssm") + ":state", states, formats.state)
    states = pow2_quantize(states * 2.0**-formats.read_shift, 0, formats.read.width)
    record(name("ssm"), states, formats.read)
    if record.listens and stride > 1:
        states = states[:, : states.shape[1] // stride * stride : stride]
    x = at(x)
    if stride > 1:
        mode, window = geometry.pooling, stride
        u = pool(u, times.weight, window, mode, formats.u)
        x = pool(x, times.weight, window, mode, formats.input)
        times = times.pooled(window)
        record(name("state"), states, formats.read)
        record(name("u_pool"), u, geometry.pooled(formats.u))
        record(name("skip_pool"), x, geometry.pooled(formats.input))
    through = u * c.feedthrough if c.feedthrough.dim() == 1 else linear(u, c.feedthrough)
    sums = c.store(c.out.sums, linear(states, c.output, c.bias) + through, formats.out.sums)
    record(name(c.out.sums), sums, formats.out.sums)
    gated = c.out.run(sums, name, training, record)
    if c.skip is not None and formats.skip is not None:
        x = c.store("skip", linear(x, *c.skip), formats.skip)
        record(name("skip"), x, formats.skip)
    x = c.store("output", x + shared_dropout(gated, c.dropout, training), formats.output)
    record(name("out"), x, formats.output)
    return x, times


def _embed(
    network: QuantizedNetwork, tokens: Tensor, times: Times, dtype: torch.dtype, record: Recorder
) -> tuple[Tensor, Tensor | None]:
    """The residual stream: a table and the tokens' index into it, or one vector an event and None."""
    formats = network.formats
    real = torch.arange(tokens.shape[1], device=tokens.device) < times.lengths.unsqueeze(1)
    if formats.input is not None:
        require_finite(tokens)
        dense = network.store("input", tokens.to(dtype) * real.unsqueeze(2), formats.input)
        record("dense", dense, formats.input)
        x = network.store("embedded", linear(dense, network.embedding, network.encoder_bias), formats.embedded)
        record("encoder", x, formats.embedded)
        return x, None
    index = token_index(tokens, real, len(network.embedding))
    table = network.store("embedded", network.embedding, formats.embedded)
    if record.listens:
        record("embedding", table[index], formats.embedded)
    return table, index
