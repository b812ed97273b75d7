"""The one forward pass of quantized networks: the QAT model and the frozen model differ in their weights alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from ...program.formats import Format
from ..kernels.channels import drive_modes, read_modes
from ..nodes import DENSE
from ..operations import Times, read_out, shared_dropout, token_index
from ..quantizers import Quantizers, store
from ..scan import DecayTable, quantized_scan
from ..spiking_output import SpikingOutput
from ..straight_through import quantize_input
from ..tracing import NOTHING, Recorder
from .formats import BlockFormats, NetworkFormats, node_name
from .norm import QuantizedNorm


@dataclass(frozen=True, eq=False)
class QuantizedBlock:
    """Quantized weights of one block, as values; M modes for each of H channels.

    Attributes:
        formats: of its edges.
        norm: None without one.
        unit: (M H,), codes of a state in one of its values.
        table: decays of a step, (1, M H) each.
        rate: (M H,) complex, of a step; for the gradient alone.
        output: (2M, H), from the state's codes.
        feedthrough, bias: (H,).
        out: what follows C x + D u.
        dropout: probability while training.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    formats: BlockFormats
    norm: QuantizedNorm | None
    unit: Tensor
    table: DecayTable
    rate: Tensor
    output: Tensor
    feedthrough: Tensor
    bias: Tensor
    out: SpikingOutput
    dropout: float = 0.0
    quantizers: Quantizers | None = None


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """Quantized weights of the network, as values.

    Attributes:
        formats: of its edges.
        encoder, encoder_bias: (H, F), (H,); of tokens the embedding (V, H), and None.
        blocks: in order.
        decoder, decoder_bias: (C, H), (C,).
        logits: the format of the logits, None where they are not traced.
        quantizers: of edges, in place of plain rounding and saturation.
    """

    formats: NetworkFormats
    encoder: Tensor
    encoder_bias: Tensor | None
    blocks: tuple[QuantizedBlock, ...]
    decoder: Tensor
    decoder_bias: Tensor
    logits: Format | None
    quantizers: Quantizers | None = None


def run_network(
    network: QuantizedNetwork, inputs: Tensor, lengths: Tensor, training: bool = False, record: Recorder = NOTHING
) -> Tensor:
    """Logits (B, C) of inputs (B, T, F), or tokens (B, T), of so many steps (B,); ``record`` is shown every node and
    state.

    Raises:
        PumiceError: input that is not finite, or tokens that the model does not know.
    """
    formats = network.formats
    x = _embed(network, inputs, lengths, record)
    for number, block in enumerate(network.blocks):
        x = _run_block(block, number, x, training, record)
    steps = torch.zeros(x.shape[:2], dtype=torch.int64, device=x.device)
    residual = formats.blocks[-1].output
    value = read_out(x, Times(steps, steps, lengths), steps.sum(1), "pool", residual, formats.readout)
    record("readout", value, formats.readout)
    logits = linear(value, network.decoder, network.decoder_bias)
    if network.logits is not None:
        record("decoder", logits, network.logits)
    return logits


def _embed(network: QuantizedNetwork, inputs: Tensor, lengths: Tensor, record: Recorder) -> Tensor:
    """The residual stream before the first block, (B, T, H)."""
    formats = network.formats
    if formats.input is None:
        real = torch.arange(inputs.shape[1], device=inputs.device) < lengths.unsqueeze(1)
        table = store(network.quantizers, "embedded", network.encoder, formats.embedded)
        x = embedding(token_index(inputs, real, len(table)), table)
        record("embedding", x, formats.embedded)
        return x
    x = quantize_input(inputs, formats.input, network.decoder.dtype)
    record(DENSE, x, formats.input)
    x = store(network.quantizers, "embedded", linear(x, network.encoder, network.encoder_bias), formats.embedded)
    record("encoder", x, formats.embedded)
    return x


def _run_block(block: QuantizedBlock, number: int, x: Tensor, training: bool, record: Recorder) -> Tensor:
    c, formats, name = block, block.formats, partial(node_name, number)
    u = x
    if c.norm is not None and formats.total is None:
        u = c.norm.run(x, c.quantizers, "u")
        record(name("norm"), u, formats.u)
    current = store(c.quantizers, "current", _read(c, u, name("ssm"), record), formats.out.current)
    record(name("ssm"), current, formats.out.current)
    gated = c.out.run(current, name, training, record)
    x = x + shared_dropout(gated, c.dropout, training)
    if c.norm is not None and formats.total is not None:
        total = store(c.quantizers, "total", x, formats.total)
        record(name("total"), total, formats.total)
        x = c.norm.run(total, c.quantizers, "output")
    else:
        x = store(c.quantizers, "output", x, formats.output)
    record(name("out"), x, formats.output)
    return x


def _read(c: QuantizedBlock, u: Tensor, name: str, record: Recorder) -> Tensor:
    """``C x + D u`` (B, T, H) over the states that u (B, T, H) drives."""
    modes, (batch, steps, channels) = len(c.output) // 2, u.shape
    drive = drive_modes(u, c.unit.reshape(modes, channels))
    gaps = torch.ones(batch, steps, dtype=torch.int64, device=u.device)
    states = quantized_scan(drive, gaps, c.table, c.rate, c.formats.state.min, c.formats.state.max).states
    record.states(name, [(states, c.formats.state)])
    return read_modes(states, c.output) + u * c.feedthrough + c.bias
