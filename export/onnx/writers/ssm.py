"""The diagonal state-space node."""

from __future__ import annotations

import numpy as np

from ....quantize.program.bounds import register
from ....quantize.program.nodes import DiagonalSSM
from ..arithmetic import accumulator_dtype, at_most, matmul, saturate, shift_half_up
from ..event import EventGraph, State


def write_diagonal_ssm(event: EventGraph, node: DiagonalSSM) -> str:
    """Decay over the gap, drive, and read; real parts and imaginary parts side by side in one (B, 2 P) tensor."""
    graph = event.graph
    value, gap = event.inputs_of(node)
    rate = event.program.rates[node.inputs[0]]
    state = State(node.name, (node.channels,), np.dtype(np.int32))
    ticks = at_most(graph, gap, node.max_gap)
    drive = _drive(event, node, value)
    old = event.open(state)
    if node.discretization == "zoh":
        held = _decay(event, node, _add(event, node, old, drive), ticks)
        moved = _add(event, node, held, graph.op("Neg", drive))
        new = graph.op("Where", graph.op("Greater", ticks, graph.like(0, ticks)), moved, old)
    else:
        new = _add(event, node, _decay(event, node, old, ticks), drive)
    new = event.keep_unless_valid(state.name, new, rate)
    return saturate(graph, _read(event, node, new), node.output)


def _drive(event: EventGraph, node: DiagonalSSM, value: str) -> str:
    """``rhu(B u + b)`` in state units, unsaturated."""
    graph = event.graph
    dtype = accumulator_dtype(node.drive_accumulator)
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    drive = matmul(graph, value, node.format, weight, dtype)
    if bias.any():
        drive = graph.op("Add", drive, graph.constant(bias, dtype))
    return shift_half_up(graph, drive, np.tile(node.drive_shift, 2))


def _add(event: EventGraph, node: DiagonalSSM, state: str, drive: str) -> str:
    dtype = accumulator_dtype(register(node.bounds()["the state sum"]))
    total = event.graph.op("Add", event.graph.cast(state, dtype), event.graph.cast(drive, dtype))
    return saturate(event.graph, total, node.state_format)


def _decay(event: EventGraph, node: DiagonalSSM, state: str, ticks: str) -> str:
    """One step a binary digit of the gap, least significant first; a digit that is 0 keeps the state."""
    graph = event.graph
    digits = graph.op("Div", ticks, graph.constant(1 << np.arange(node.digits), np.int64))
    bits = graph.op("Equal", graph.op("Mod", digits, graph.constant(2, np.int64)), graph.constant(1, np.int64))
    names = [graph.fresh("bit") for _ in range(node.digits)]
    graph.ops("Split", bits, outputs=names, dtypes=[bool] * node.digits, axis=1, num_outputs=node.digits)
    for digit, bit in enumerate(names):
        state = graph.op("Where", bit, _decay_step(event, node, state, digit), state)
    return state


def _decay_step(event: EventGraph, node: DiagonalSSM, state: str, digit: int) -> str:
    """``sat(x + rhu(d x))`` for one digit, both components from the old x."""
    graph = event.graph
    dtype = accumulator_dtype(node.decay_accumulator)
    real, imaginary = node.decay_re[digit].astype(np.int64), node.decay_im[digit].astype(np.int64)
    swap = np.roll(np.arange(node.channels), node.modes)
    wide = graph.cast(state, dtype)
    swapped = graph.op("Gather", wide, graph.constant(swap, np.int64), dtype=dtype, axis=1)
    along = graph.op("Mul", wide, graph.constant(np.tile(real, 2), dtype))
    across = graph.op("Mul", swapped, graph.constant(np.concatenate([-imaginary, imaginary]), dtype))
    change = shift_half_up(graph, graph.op("Add", along, across), np.tile(node.decay_exponent[digit], 2))
    return saturate(graph, graph.op("Add", wide, change), node.state_format)


def _read(event: EventGraph, node: DiagonalSSM, state: str) -> str:
    graph = event.graph
    if node.read_shift == 0:
        return state
    wide = graph.cast(state, np.int64) if node.state_width > 30 else state
    return shift_half_up(graph, wide, node.read_shift)
