"""The diagonal state-space node."""

from __future__ import annotations

import numpy as np

from ....program.bounds import register
from ....program.nodes import DiagonalSSM, Node
from ..arithmetic import FLOAT32_LIMIT, OFFSET_BITS, accumulator_dtype, at_most, saturate, shift_half_up
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from ..opset import BITWISE
from ..sums import Term, rounded_sum
from ..tables import DRIVE


def write_diagonal_ssm(event: ProgramEvent, node: DiagonalSSM) -> str:
    """Decay over the gap, drive, and read; real parts and imaginary parts side by side in one (B, 2 P) tensor."""
    graph = event.graph
    value, gap = event.inputs_of(node)
    rate = event.program.rates[node.inputs[0]]
    state = Carried(node.name, (node.channels,), np.dtype(np.int32))
    ticks = graph.cast(at_most(graph, gap, node.max_gap), np.int32)
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


def _drive(event: ProgramEvent, node: DiagonalSSM, value: str) -> str:
    """``rhu(B u + b)`` in state units, unsaturated."""
    if node.name + DRIVE in event.tables:
        return event.look_up(event.tables[node.name + DRIVE], _sum_dtype(node))
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    term = Term(value, weight, 0, node.format.magnitude, node.format)
    return rounded_sum(event.graph, [term], bias, np.tile(node.drive_shift, 2))[0]


def _add(event: ProgramEvent, node: DiagonalSSM, state: str, drive: str) -> str:
    dtype = _sum_dtype(node)
    total = event.graph.op("Add", event.graph.cast(state, dtype), event.graph.cast(drive, dtype))
    return saturate(event.graph, total, node.state_format)


def _sum_dtype(node: DiagonalSSM) -> np.dtype:
    return accumulator_dtype(register(node.bounds()["the state sum"]))


def _decay(event: ProgramEvent, node: DiagonalSSM, state: str, ticks: str) -> str:
    """A loop over the binary digits of the gaps, least significant first, until no gap of the batch has one left."""
    graph = event.graph
    body = graph.child("digit")
    digit = body.input("digit", np.int64, [])
    body.input("more", bool, [])
    left, codes = body.input("left", np.int32, ["batch", 1]), body.input("codes", np.int32, ["batch", node.channels])
    two = body.constant(2, np.int32)
    bit = body.op("Equal", body.op("Mod", left, two), body.constant(1, np.int32))
    rest = body.op("Div", left, two)
    stepped = body.op("Where", bit, _decay_step(body, node, codes, digit), codes)
    body.output(_any_left(body, rest), "more_out", [])
    body.output(rest, "left_out", ["batch", 1])
    body.output(stepped, "codes_out", ["batch", node.channels])
    outputs = [graph.fresh("left"), graph.fresh("codes")]
    carried = (graph.constant(node.digits, np.int64), _any_left(graph, ticks), ticks, state)
    graph.ops("Loop", *carried, outputs=outputs, dtypes=[np.int32, np.int32], body=body.build())
    return outputs[1]


def _any_left(graph: Graph, ticks: str) -> str:
    largest = graph.op("ReduceMax", ticks, dtype=np.int32, keepdims=0)
    return graph.op("Greater", largest, graph.constant(0, np.int32))


def _decay_step(graph: Graph, node: DiagonalSSM, state: str, digit: str) -> str:
    """``sat(x + rhu(d x))`` for one digit, both components from the old x."""
    dtype = accumulator_dtype(node.decay_accumulator)
    bits = OFFSET_BITS[dtype]
    real, imaginary = node.decay_re.astype(np.int64), node.decay_im.astype(np.int64)
    exponent = np.tile(node.decay_exponent.astype(np.int64), 2)
    one = np.left_shift(np.int64(1), exponent)

    def row(table: np.ndarray) -> str:
        return graph.op("Gather", graph.constant(table, dtype), digit, dtype=dtype, axis=0)

    swap = np.roll(np.arange(node.channels), node.modes)
    wide = graph.cast(state, dtype)
    swapped = graph.op("Gather", wide, graph.constant(swap, np.int64), dtype=dtype, axis=1)
    along = graph.op("Mul", wide, row(np.tile(real, 2)))
    across = graph.op("Mul", swapped, row(np.concatenate([-imaginary, imaginary], axis=1)))
    total = graph.op("Add", along, across)
    if graph.opset < BITWISE or node.bounds()["the decay step"] >= FLOAT32_LIMIT << int(node.decay_exponent.min()):
        graph.beyond_float32.add(node.name)
    if graph.opset >= BITWISE:
        cleared = graph.op("BitwiseAnd", graph.op("Add", total, row(one // 2)), row(-one))
        change = graph.op("Div", cleared, row(one))
    else:
        quotient = graph.op("Div", graph.op("Add", total, row((1 << bits) + one // 2)), row(one))
        change = graph.op("Sub", quotient, row(np.left_shift(np.int64(1), bits - exponent)))
    return saturate(graph, graph.op("Add", wide, change), node.state_format)


def _read(event: ProgramEvent, node: DiagonalSSM, state: str) -> str:
    graph = event.graph
    if node.read_shift == 0:
        return state
    wide = graph.cast(state, np.int64) if node.state_width > 30 else state
    return shift_half_up(graph, wide, node.read_shift)


WRITERS: dict[type[Node], Writer] = {DiagonalSSM: write_diagonal_ssm}
