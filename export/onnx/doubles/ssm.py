"""The state-space nodes."""

from __future__ import annotations

import numpy as np

from ....program.bounds import dot_bound
from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from ..sums import Term
from ..tables import DRIVE
from .arithmetic import DOUBLE, LIMIT, floor_half_up, rounded_sum, saturate, store_sum
from .packed import PackedEvent

FEW = 128
"""Modes up to which a gather of numbers is faster than taking parts and joining them."""


def write_diagonal_ssm(event: PackedEvent, node: DiagonalSSM) -> str:
    """Decay over the gap, drive, and read; real parts, then imaginary parts if there are any, in one (B, Q) tensor."""
    graph = event.graph
    value, gap = event.inputs_of(node)
    limited = graph.op("Min", graph.cast(gap, DOUBLE), graph.constant(node.max_gap, DOUBLE))
    ticks = graph.cast(limited, np.int64)
    added = graph.cast(drive(event, node, value), DOUBLE)
    old = event.open(Carried(node.name, (node.channels,), DOUBLE))
    if node.discretization == "zoh":
        held = _decay(event, node, store(graph, node, graph.op("Add", old, added)), ticks)
        moved = store(graph, node, graph.op("Sub", held, added))
        new = graph.op("Where", graph.op("Greater", ticks, graph.like(0, ticks)), moved, old)
    else:
        new = store(graph, node, graph.op("Add", _decay(event, node, old, ticks), added))
    new = event.set(node.name, new)
    return new if event.reads_late(node) else read(graph, node, new)


def drive(event: ProgramEvent, node: DiagonalSSM, value: str) -> str:
    """``rhu(B u + b)`` in state units, unsaturated."""
    if node.name + DRIVE in event.tables:
        return event.look_up(event.tables[node.name + DRIVE], DOUBLE)
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    term = Term(value, weight, 0, node.format.magnitude, node.format)
    return rounded_sum(event.graph, [term], bias, node.channel_shift)[0]


def read(graph: Graph, node: DiagonalSSM, state: str) -> str:
    """``sat(rhu(x / 2**read_shift))``."""
    ends = (node.state_format.min, node.state_format.max)
    low, high = ((end + (1 << node.read_shift >> 1)) >> node.read_shift for end in ends)
    return saturate(graph, floor_half_up(graph, state, node.read_shift), (low, high), node.output)


def decay_tables(node: DiagonalSSM | ChannelSSM) -> tuple[np.ndarray, np.ndarray]:
    """Factors of a state and of its other component, (..., Q) each; of real modes the second has no columns.

    The first is ``1 + d`` where `holds_one` says that this is exact, else d.
    """
    exponents, turns = node.decay_exponent.astype(np.int64), node.decay_im.size > 0
    real = np.ldexp(node.decay_re.astype(np.float64), -exponents) + holds_one(node)
    if not turns:
        return real, np.zeros((*real.shape[:-1], 0))
    imaginary = np.ldexp(node.decay_im.astype(np.float64), -exponents)
    return np.concatenate([real, real], axis=-1), np.concatenate([-imaginary, imaginary], axis=-1)


def digit_tables(node: DiagonalSSM) -> list[np.ndarray]:
    """`decay_tables` by row (J + 1, Q): row 0 leaves the state as it is, row j + 1 is the step of digit j."""
    rests = (float(holds_one(node)), 0.0)
    return [
        np.pad(table, ((1, 0), (0, 0)), constant_values=rest)
        for table, rest in zip(decay_tables(node), rests, strict=True)
    ]


def holds_one(node: DiagonalSSM | ChannelSSM) -> bool:
    """Whether ``(2**e + d) x`` stays below 2**52, so that a state's own value needs no addition."""
    return int(node.decay_exponent.max()) + node.state_width < LIMIT.bit_length() - 2


def decay_step(
    graph: Graph, node: DiagonalSSM | ChannelSSM, state: str, along: str, across: str, apart: bool = False
) -> str:
    """``sat(x + floor(d x + 1/2))``, both components from the old x; ``across`` is empty of real modes.

    ``apart`` says that real and imaginary parts are rows, (B, 2, Q / 2).
    """
    total = graph.op("Mul", state, along)
    if across:
        size = sum(state.size for state in node.states()) // 2
        other = _exchanged(graph, state) if apart else swapped(graph, state, size)
        total = graph.op("Add", total, graph.op("Mul", other, across))
    moved = graph.op("Floor", graph.op("Add", total, graph.constant(0.5, DOUBLE)))
    return store(graph, node, moved if holds_one(node) else graph.op("Add", state, moved))


def _exchanged(graph: Graph, state: str) -> str:
    return graph.op("Gather", state, graph.constant([1, 0], np.int64), dtype=DOUBLE, axis=1)


def swapped(graph: Graph, state: str, size: int) -> str:
    """Imaginary parts, then real parts, ``size`` of each."""
    if size <= FEW:
        order = np.roll(np.arange(2 * size), size)
        return graph.op("Gather", state, graph.constant(order, np.int64), dtype=DOUBLE, axis=1)
    real, imaginary = halves(graph, state, size)
    return graph.op("Concat", imaginary, real, axis=1)


def halves(graph: Graph, state: str, size: int) -> list[str]:
    """Real parts and imaginary parts (B, size)."""
    parts, sizes = [graph.fresh("part") for _ in range(2)], graph.constant([size, size], np.int64)
    return graph.ops("Split", state, sizes, outputs=parts, dtypes=[DOUBLE] * 2, axis=1)


def store(graph: Graph, node: DiagonalSSM | ChannelSSM, value: str) -> str:
    """A state's codes, saturated."""
    form = node.state_format
    return graph.op("Clip", value, graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE))


def _decay(event: ProgramEvent, node: DiagonalSSM, state: str, ticks: str) -> str:
    """A loop over the binary digits of the gaps, least significant first, up to the highest of the batch."""
    graph = event.graph
    powers = graph.constant(1 << np.arange(node.digits, dtype=np.int64), np.int64)
    bits = graph.op("Mod", graph.op("Div", ticks, powers), graph.constant(2, np.int64))
    rows = graph.op("Mul", bits, graph.constant(np.arange(1, node.digits + 1), np.int64))  # (B, J): of the tables
    steps = graph.op("ReduceMax", rows, keepdims=0)
    body = graph.child("digit")
    digit, more = body.input("digit", np.int64, []), body.input("more", bool, [])
    codes = body.input("codes", DOUBLE, ["batch", node.channels])
    row = body.op("Gather", rows, digit, dtype=np.int64, axis=1)
    along, across = (
        body.op("Gather", body.constant(table, DOUBLE), row, dtype=DOUBLE, axis=0) if table.size else ""
        for table in digit_tables(node)
    )
    body.output(more, "more_out", [])
    body.output(decay_step(body, node, codes, along, across), "codes_out", ["batch", node.channels])
    outputs = [graph.fresh("codes")]
    graph.ops("Loop", steps, graph.constant(True, bool), state, outputs=outputs, dtypes=[DOUBLE], body=body.build())
    return outputs[0]


def write_channel_ssm(event: ProgramEvent, node: ChannelSSM) -> str:
    """One decay step, drive of the real parts, and each channel's sum over its modes; states as a (B, 2 M H) tensor."""
    graph, modes, channels = event.graph, node.modes, node.channels
    size = modes * channels
    value = graph.cast(event.inputs_of(node)[0], DOUBLE)
    old = event.open(Carried(node.name, (2 * size,), DOUBLE))
    along, across = (graph.constant(table, DOUBLE) for table in _flat(node))
    decayed = decay_step(graph, node, old, along, across)
    each = graph.op("Unsqueeze", value, graph.constant([1], np.int64), dtype=DOUBLE)
    scaled = graph.op("Mul", each, graph.constant(np.ldexp(1.0, -node.drive_shift), DOUBLE))
    halved = graph.op("Add", scaled, graph.constant(np.where(node.drive_shift > 0, 0.5, 0.0), DOUBLE))
    drives = graph.op("Reshape", graph.op("Floor", halved), graph.constant([-1, size], np.int64), dtype=DOUBLE)
    real, imaginary = halves(graph, decayed, size)
    new = graph.op("Concat", store(graph, node, graph.op("Add", real, drives)), imaginary, axis=1)
    event.set(node.name, new)
    weight = np.concatenate([node.output_re.ravel(), node.output_im.ravel()]).astype(np.float64)
    sums = dot_bound(np.concatenate([node.output_re, node.output_im]).T, node.state_format.magnitude)
    shape = graph.constant([-1, 2 * modes, channels], np.int64)
    apart = graph.op("Reshape", graph.op("Mul", new, graph.constant(weight, DOUBLE)), shape, dtype=DOUBLE)
    seen = graph.op("ReduceSum", apart, graph.constant([1], np.int64), dtype=DOUBLE, keepdims=0)
    terms = [
        Term(seen, np.ones(channels, dtype=np.int64), node.state_shift, int(sums.max())),
        Term(value, node.feedthrough, node.feedthrough_shift, node.format.magnitude, node.format),
    ]
    return store_sum(graph, terms, node.bias, node.output_shift, node.output)


def _flat(node: ChannelSSM) -> list[np.ndarray]:
    """`decay_tables` in the order of the state, (2 M H,): all real parts, then all imaginary ones."""
    tables = decay_tables(node)
    return [np.concatenate([part.ravel() for part in np.split(table, 2, axis=-1)]) for table in tables]


WRITERS: dict[type[Node], Writer] = {DiagonalSSM: write_diagonal_ssm, ChannelSSM: write_channel_ssm}
