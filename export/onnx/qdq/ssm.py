"""The state-space nodes in float operators, its state rounded to codes once an event."""

from __future__ import annotations

import numpy as np

from ....program.nodes import ChannelSSM, DiagonalSSM, Node
from ..arithmetic import at_most
from ..dialect import Writer
from ..event import Carried, ProgramEvent
from ..graph import Graph
from .quantize import codes_to_real, matmul, quantize, real
from .windows import _FLOAT


def write_diagonal_ssm(event: ProgramEvent, node: DiagonalSSM) -> str:
    """Decay, drive and read. The state is kept in units of its codes, and rounded once an event."""
    graph = event.graph
    value, gap = event.inputs_of(node)
    rate = event.program.rates[node.inputs[0]]
    ticks = at_most(graph, gap, node.max_gap)
    drive = _drive(graph, node, value)
    old = event.open(Carried(node.name, (node.channels,), _FLOAT))
    if node.discretization == "zoh":
        moved = graph.op("Sub", _decay(graph, node, graph.op("Add", old, drive), ticks), drive)
        new = graph.op("Where", graph.op("Greater", ticks, graph.like(0, ticks)), moved, old)
    else:
        new = graph.op("Add", _decay(graph, node, old, ticks), drive)
    new = event.keep_unless_valid(node.name, quantize(graph, new, node.state_format), rate)
    return quantize(graph, graph.op("Mul", new, real(graph, 2.0**-node.read_shift)), node.output)


def _drive(graph: Graph, node: DiagonalSSM, value: str) -> str:
    """``B u + b`` in units of the state's codes."""
    weight = np.concatenate([node.input_re, node.input_im])
    drive = matmul(graph, value, weight, node.input_width, np.tile(node.input_frac - node.state_frac, node.parts))
    bias = np.concatenate([node.bias_re, node.bias_im]) * 2.0**-node.channel_shift
    return graph.op("Add", drive, real(graph, bias)) if bias.any() else drive


def _decay(graph: Graph, node: DiagonalSSM, state: str, ticks: str) -> str:
    """One step a binary digit of the gap, least significant first; without rounding in between."""
    swap = "" if node.real else graph.constant(np.roll(np.arange(node.channels), node.modes), np.int64)
    digits = graph.op("Div", ticks, graph.constant(1 << np.arange(node.digits), np.int64))
    bits = graph.op("Equal", graph.op("Mod", digits, graph.constant(2, np.int64)), graph.constant(1, np.int64))
    names = [graph.fresh("bit") for _ in range(node.digits)]
    graph.ops("Split", bits, outputs=names, dtypes=[bool] * node.digits, axis=1, num_outputs=node.digits)
    for digit, bit in enumerate(names):
        codes = node.decay_re[digit], node.decay_im[digit], node.decay_exponent[digit]
        state = graph.op("Where", bit, _step(graph, state, swap, codes, node.decay_width), state)
    return state


def _step(graph: Graph, state: str, swap: str, codes: tuple[np.ndarray, ...], width: int) -> str:
    """``x + d x``; ``swap`` are the places of the other components, which real modes have not."""
    real_, imaginary, exponents = codes
    if not imaginary.size:
        return graph.op("Add", state, graph.op("Mul", state, codes_to_real(graph, real_, width, exponents)))
    exponent = np.tile(exponents, 2)
    swapped = graph.op("Gather", state, swap, dtype=_FLOAT, axis=1)
    along = graph.op("Mul", state, codes_to_real(graph, np.tile(real_, 2), width, exponent))
    across = graph.op("Mul", swapped, codes_to_real(graph, np.concatenate([-imaginary, imaginary]), width, exponent))
    return graph.op("Add", state, graph.op("Add", along, across))


def write_channel_ssm(event: ProgramEvent, node: ChannelSSM) -> str:
    """One step of every channel; its state in units of its codes, and rounded."""
    graph, size = event.graph, node.modes * node.channels
    (value,) = event.inputs_of(node)
    old = event.open(Carried(node.name, (2 * size,), _FLOAT))
    swap = graph.constant(np.roll(np.arange(2 * size), size), np.int64)
    codes = tuple(table.ravel() for table in (node.decay_re, node.decay_im, node.decay_exponent))
    each = graph.constant(np.tile(np.arange(node.channels), 2 * node.modes), np.int64)
    unit = np.concatenate([np.ldexp(1.0, node.state_frac.astype(np.int64)).ravel(), np.zeros(size)])
    drive = graph.op("Mul", graph.op("Gather", value, each, dtype=_FLOAT, axis=1), real(graph, unit))
    stepped = graph.op("Add", _step(graph, old, swap, codes, node.decay_width), drive)
    new = event.keep_unless_valid(
        node.name, quantize(graph, stepped, node.state_format), event.program.rates[node.name]
    )
    weight = np.concatenate([node.output_re.ravel(), node.output_im.ravel()])
    products = graph.op(
        "Mul", new, codes_to_real(graph, weight, node.output_width, np.tile(node.output_frac, 2 * node.modes))
    )
    shape = graph.constant([-1, 2 * node.modes, node.channels], np.int64)
    apart = graph.op("Reshape", products, shape, dtype=_FLOAT)
    read = graph.op("ReduceSum", apart, graph.constant([1], np.int64), dtype=_FLOAT, keepdims=0)
    fed = matmul(graph, value, node.feedthrough, node.feedthrough_width, node.feedthrough_frac)
    total = graph.op("Add", read, fed)
    if node.bias.any():
        total = graph.op("Add", total, real(graph, node.bias * 2.0**-node.accumulator_frac))
    return quantize(graph, total, node.output)


WRITERS: dict[type[Node], Writer] = {DiagonalSSM: write_diagonal_ssm, ChannelSSM: write_channel_ssm}
