"""The one forward pass of quantized networks: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from ...errors import PumiceError
from ...models.s5.config import STEPS
from ...program.clock import ticks
from ...program.formats import Format
from ..operations import NO_DROPOUT, Dropout, OwnNorm, Times, layer_norm, pool, pool_table, read_out, token_index
from ..output import QuantizedOutput
from ..quantizers import Quantizers, store
from ..rounding import pow2_quantize
from ..scan import DecayTable, quantized_scan
from ..straight_through import require_finite
from ..tracing import NOTHING, STATE, Recorder
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, NetworkFormats
from .reading import Reading


@dataclass(frozen=True, eq=False)
class QuantizedLayer:
    """Quantized weights of one layer, as values; P modes, H inputs, O outputs.

    Attributes:
        geometry: where the layer lies.
        formats: of its edges.
        reading: what the state space reads.
        drive: (2P, H), to the state's units; (P, H) of real modes, and likewise below.
        drive_bias: (2P,).
        table: decays.
        rate: (P,) complex or real, a tick's exponent; for the gradient alone.
        output: (O, 2P), from what is read of the state's codes.
        feedthrough: (H,) or (O, H), or None.
        bias: (O,).
        out: what follows C x + D u.
        skip: (O, H) and (O,), or None.
        inside: of the norm behind C x + D u, or None.
        after: of the norm behind the layer's sum, or None.
        dropout: while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    geometry: Geometry
    formats: LayerFormats
    reading: Reading
    drive: Tensor
    drive_bias: Tensor
    table: DecayTable
    rate: Tensor
    output: Tensor
    feedthrough: Tensor | None
    bias: Tensor
    out: QuantizedOutput
    skip: FoldedLinear[Tensor] | None
    inside: OwnNorm | None = None
    after: OwnNorm | FoldedNorm[Tensor] | None = None
    dropout: Dropout = NO_DROPOUT
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
        head: "pool", "timepool", "last" or "steps".
        all_time: whether the time of head "timepool" is that of all events, and not of the complete windows.
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
    all_time: bool
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
    """Logits (B, C) of a padded batch (arguments as `EventClassifier.forward`), with head "steps" (B, N, C).

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
    value = x if network.head == STEPS else _read_out(network, x, times, total_weight, record)
    logits = linear(value, network.decoder, network.decoder_bias)
    if network.logits is not None:
        record("decoder", logits, network.logits)
    return logits


def _read_out(network: QuantizedNetwork, x: Tensor, times: Times, total_weight: Tensor, record: Recorder) -> Tensor:
    """The read-out's value (B, H)."""
    formats = network.formats
    if not network.all_time:
        real = torch.arange(x.shape[1], device=x.device) < times.lengths.unsqueeze(1)
        total_weight = (times.weight * real).sum(1)
    value = read_out(x, times, total_weight, network.head, formats.layers[-1].output, formats.readout)
    record("readout", value, formats.readout)
    return value


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

    def pooled(values: Tensor, mode: str, format: Format) -> Tensor:
        if index is None:
            return pool(values, times.weight, stride, mode, format)
        return pool_table(values, index, times.weight, stride, mode, format)

    def show(own: str, value: Tensor, format: Format) -> None:
        if record.listens:
            record(name(own), at(value), format)

    u = c.reading.run(x, formats, c.quantizers, show)
    drive = linear(u, c.drive, c.drive_bias)
    if record.listens:
        record(geometry.drive, at(u), formats.u)
    sampled = stride if geometry.sampling == "first" and not record.listens else 1
    states = quantized_scan(
        drive,
        times.gap,
        c.table,
        c.rate,
        formats.state.min,
        formats.state.max,
        hold=geometry.discretization == "zoh",
        tokens=index,
        sample_every=sampled,
    ).states
    record(name("ssm") + STATE, states, formats.state)
    states = pow2_quantize(states * 2.0**-formats.read_shift, 0, formats.read.width)
    record(name("ssm"), states, formats.read)
    if stride > 1:
        if sampled == 1:
            states = pool(states, times.weight, stride, geometry.sampling, formats.read)
        record(name("state"), states, geometry.sampled(formats.read))
        if c.feedthrough is not None:
            u = pooled(u, geometry.pooling, formats.u)
            record(name("u_pool"), u, geometry.pooled(formats.u))
        if geometry.residual:
            x = pooled(x, geometry.pooling, formats.input)
            record(name("skip_pool"), x, geometry.pooled(formats.input))
        times = times.pooled(stride)
    else:
        u, x = at(u), at(x)
    sums = linear(states, c.output, c.bias)
    if c.feedthrough is not None:
        sums = sums + (u * c.feedthrough if c.feedthrough.dim() == 1 else linear(u, c.feedthrough))
    gated = c.out.run(_behind(c, sums, record), name, training, record)
    return _joined(c, x, c.dropout(gated, training), record), times


def _behind(c: QuantizedLayer, sums: Tensor, record: Recorder) -> Tensor:
    """C x + D u as it is stored, behind the norm inside where there is one."""
    formats, name = c.formats, c.geometry.node
    if c.inside is not None and formats.linear is not None:
        sums = c.store("linear", sums, formats.linear)
        record(name("linear"), sums, formats.linear)
        sums = layer_norm(sums, c.inside.terms, formats.linear, formats.out.sums, c.inside.affine)
    else:
        sums = c.store(c.out.sums, sums, formats.out.sums)
    record(name(c.out.sums), sums, formats.out.sums)
    return sums


def _joined(c: QuantizedLayer, x: Tensor, gated: Tensor, record: Recorder) -> Tensor:
    """The residual stream that the layer leaves, from the pooled one that it read."""
    formats, name = c.formats, c.geometry.node
    if c.skip is not None and formats.skip is not None:
        x = c.store("skip", linear(x, *c.skip), formats.skip)
        record(name("skip"), x, formats.skip)
    x = x + gated if c.geometry.residual else gated
    if c.after is not None and formats.total is not None:
        x = c.store("total", x, formats.total)
        record(name("total"), x, formats.total)
        if isinstance(c.after, OwnNorm):
            x = layer_norm(x, c.after.terms, formats.total, formats.output, c.after.affine)
        else:
            x = c.store("output", x * c.after.multiplier + c.after.offset, formats.output)
    else:
        x = c.store("output", x, formats.output)
    record(name("out"), x, formats.output)
    return x


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
