"""Table look-up, product, sum."""

from __future__ import annotations

import numpy as np

from ....quantize.program.bounds import register
from ....quantize.program.nodes import Add, Lookup, Multiply
from ..arithmetic import accumulator_dtype, edge_dtype, saturate, shift_half_up, shift_left
from ..event import EventGraph


def write_lookup(event: EventGraph, node: Lookup) -> str:
    """A gather; the table is rotated so that negative codes count from its end, as ONNX indices do."""
    graph = event.graph
    code = graph.cast(event.inputs_of(node)[0], edge_dtype(node.format))  # spikes are bytes, which no index is
    table = graph.constant(np.roll(node.table, node.format.min), edge_dtype(node.output))
    return graph.op("Gather", table, code, dtype=graph.dtypes[table], axis=0)


def write_multiply(event: EventGraph, node: Multiply) -> str:
    """The exact product, rounded once."""
    graph = event.graph
    dtype = accumulator_dtype(register(max(node.bounds().values())))
    left, right = (graph.cast(tensor, dtype) for tensor in event.inputs_of(node))
    return saturate(graph, shift_half_up(graph, graph.op("Mul", left, right), node.shift), node.output)


def write_add(event: EventGraph, node: Add) -> str:
    """The exact sum, rounded once."""
    graph = event.graph
    dtype = accumulator_dtype(register(max(node.bounds().values())))
    total = None
    for tensor, shift in zip(event.inputs_of(node), node.operand_shifts, strict=True):
        operand = shift_left(graph, graph.cast(tensor, dtype), shift)
        total = operand if total is None else graph.op("Add", total, operand)
    return saturate(graph, shift_half_up(graph, total, node.output_shift), node.output)
