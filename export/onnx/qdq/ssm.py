"""The diagonal state-space node in float operators, its state rounded to codes once an event."""

from __future__ import annotations

import numpy as np

from ....program.nodes import DiagonalSSM, Node
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
    drive = matmul(graph, value, weight, node.input_width, np.tile(node.input_frac - node.state_frac, 2))
    bias = np.concatenate([node.bias_re, node.bias_im]) * 2.0 ** -np.tile(node.drive_shift, 2)
    return graph.op("Add", drive, real(graph, bias)) if bias.any() else drive


def _decay(graph: Graph, node: DiagonalSSM, state: str, ticks: str) -> str:
    """One step a binary digit of the gap, least significant first; without rounding in between."""
    swap = graph.constant(np.roll(np.arange(node.channels), node.modes), np.int64)
    digits = graph.op("Div", ticks, graph.constant(1 << np.arange(node.digits), np.int64))
    bits = graph.op("Equal", graph.op("Mod", digits, graph.constant(2, np.int64)), graph.constant(1, np.int64))
    names = [graph.fresh("bit") for _ in range(node.digits)]
    graph.ops("Split", bits, outputs=names, dtypes=[bool] * node.digits, axis=1, num_outputs=node.digits)
    for digit, bit in enumerate(names):
        real_, imaginary = node.decay_re[digit], node.decay_im[digit]
        exponent = np.tile(node.decay_exponent[digit], 2)
        swapped = graph.op("Gather", state, swap, dtype=_FLOAT, axis=1)
        width = node.decay_width
        along = graph.op("Mul", state, codes_to_real(graph, np.tile(real_, 2), width, exponent))
        across = graph.op(
            "Mul", swapped, codes_to_real(graph, np.concatenate([-imaginary, imaginary]), width, exponent)
        )
        stepped = graph.op("Add", state, graph.op("Add", along, across))
        state = graph.op("Where", bit, stepped, state)
    return state


WRITERS: dict[type[Node], Writer] = {DiagonalSSM: write_diagonal_ssm}
