"""The state-space nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....program.bounds import dot_bound, register
from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ..arithmetic import FLOAT32_LIMIT, OFFSET_BITS, accumulator_dtype, at_most, saturate, shift_half_up
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from ..opset import BITWISE
from ..sums import Term, rounded_sum, store_sum
from ..tables import DRIVE


def write_diagonal_ssm(event: ProgramEvent, node: DiagonalSSM) -> str:
    """Decay over the gap, drive, and read; real parts, then imaginary parts if there are any, in one (B, Q) tensor."""
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
    return rounded_sum(event.graph, [term], bias, node.channel_shift)[0]


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
    codes = node.decay_re.astype(np.int64), node.decay_im.astype(np.int64), node.decay_exponent.astype(np.int64)

    def row(table: np.ndarray, dtype: np.dtype) -> str:
        return graph.op("Gather", graph.constant(table, dtype), digit, dtype=dtype, axis=0)

    return _step(graph, node, state, codes, row)


def _step(
    graph: Graph,
    node: DiagonalSSM | ChannelSSM,
    state: str,
    codes: tuple[np.ndarray, np.ndarray, np.ndarray],
    row: Callable[[np.ndarray, np.dtype], str],
) -> str:
    """``sat(x + rhu(d x))``, both components from the old x; ``row`` gives a table (..., Q) of the step as a tensor.

    Shapes: state (B, Q), real parts and then imaginary parts; codes, d's parts and exponent, (..., Q / 2) each; of real
    modes (B, Q) and (..., Q), d's imaginary part being empty.
    """
    real, imaginary, exponents = codes
    dtype = accumulator_dtype(node.decay_accumulator)
    bits = OFFSET_BITS[dtype]
    turning = imaginary.size > 0
    exponent = np.concatenate([exponents, exponents], axis=-1) if turning else exponents
    one = np.left_shift(np.int64(1), exponent)
    wide = graph.cast(state, dtype)
    if turning:
        size = exponent.shape[-1]
        swap = np.roll(np.arange(size), size // 2)
        swapped = graph.op("Gather", wide, graph.constant(swap, np.int64), dtype=dtype, axis=1)
        along = graph.op("Mul", wide, row(np.concatenate([real, real], axis=-1), dtype))
        across = graph.op("Mul", swapped, row(np.concatenate([-imaginary, imaginary], axis=-1), dtype))
        total = graph.op("Add", along, across)
    else:
        total = graph.op("Mul", wide, row(real, dtype))
    if graph.opset < BITWISE or node.bounds()["the decay step"] >= FLOAT32_LIMIT << int(exponents.min()):
        graph.beyond_float32.add(node.name)
    if graph.opset >= BITWISE:
        cleared = graph.op("BitwiseAnd", graph.op("Add", total, row(one // 2, dtype)), row(-one, dtype))
        change = graph.op("Div", cleared, row(one, dtype))
    else:
        quotient = graph.op("Div", graph.op("Add", total, row((1 << bits) + one // 2, dtype)), row(one, dtype))
        change = graph.op("Sub", quotient, row(np.left_shift(np.int64(1), bits - exponent), dtype))
    return saturate(graph, graph.op("Add", wide, change), node.state_format)


def _read(event: ProgramEvent, node: DiagonalSSM, state: str) -> str:
    graph = event.graph
    if node.read_shift == 0:
        return state
    wide = graph.cast(state, np.int64) if node.state_width > 30 else state
    return shift_half_up(graph, wide, node.read_shift)


def write_channel_ssm(event: ProgramEvent, node: ChannelSSM) -> str:
    """One decay step, drive of the real parts, and each channel's sum over its modes; states as a (B, 2 M H) tensor."""
    graph, size = event.graph, node.modes * node.channels
    (value,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (2 * size,), np.dtype(np.int32)))
    codes = (node.decay_re, node.decay_im, node.decay_exponent)
    decayed = _step(graph, node, old, _flat(*codes), graph.constant)
    new = event.keep_unless_valid(
        node.name, _drive_channels(event, node, value, decayed), event.program.rates[node.name]
    )
    weight = np.concatenate([node.output_re.ravel(), node.output_im.ravel()]).astype(np.int64)
    sums = dot_bound(np.concatenate([node.output_re, node.output_im]).T, node.state_format.magnitude)
    dtype = accumulator_dtype(register(int(sums.max())))
    products = graph.op("Mul", graph.cast(new, dtype), graph.constant(weight, dtype))
    shape = graph.constant([-1, 2 * node.modes, node.channels], np.int64)
    apart = graph.op("Reshape", products, shape, dtype=dtype)
    read = graph.op("ReduceSum", apart, graph.constant([1], np.int64), dtype=dtype, keepdims=0)
    terms = [
        Term(read, np.ones(node.channels, dtype=np.int64), node.state_shift, int(sums.max())),
        Term(value, node.feedthrough, node.feedthrough_shift, node.format.magnitude, node.format),
    ]
    return store_sum(graph, terms, node.bias, node.output_shift, node.output)


def _flat(*tables: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second, third = (table.astype(np.int64).ravel() for table in tables)
    return first, second, third


def _drive_channels(event: ProgramEvent, node: ChannelSSM, value: str, state: str) -> str:
    """``sat(Re x + rhu(u))``, each channel's value at all its modes; imaginary parts stay."""
    graph, size = event.graph, node.modes * node.channels
    dtype = accumulator_dtype(register(max(node.bounds()["the drive"], node.bounds()["the state sum"])))
    each = graph.constant(np.tile(np.arange(node.channels), node.modes), np.int64)
    spread = graph.op("Gather", graph.cast(value, dtype), each, dtype=dtype, axis=1)
    drive = shift_half_up(graph, spread, node.drive_shift.ravel())
    real, imaginary = (graph.constant(np.arange(size) + start, np.int64) for start in (0, size))
    kept = graph.op("Gather", state, real, dtype=graph.dtypes[state], axis=1)
    driven = saturate(graph, graph.op("Add", graph.cast(kept, dtype), drive), node.state_format)
    rest = graph.op("Gather", state, imaginary, dtype=graph.dtypes[state], axis=1)
    return graph.op("Concat", driven, rest, dtype=graph.dtypes[state], axis=1)


WRITERS: dict[type[Node], Writer] = {DiagonalSSM: write_diagonal_ssm, ChannelSSM: write_channel_ssm}
