"""Embedding and linear nodes."""

from __future__ import annotations

from ....quantize.program.arithmetic import round_half_up_shift
from ....quantize.program.arithmetic import saturate as saturate_codes
from ....quantize.program.nodes import Embedding, Linear
from ..arithmetic import accumulator_dtype, edge_dtype, matmul, saturate, shift_half_up, shift_left
from ..event import EventGraph


def write_embedding(event: EventGraph, node: Embedding) -> str:
    """A look-up in the table of finished output codes."""
    table, _ = saturate_codes(round_half_up_shift(node.table, node.shift), node.output)
    return event.look_up(table, edge_dtype(node.output))


def write_linear(event: EventGraph, node: Linear) -> str:
    """One exact sum over all operands, rounded once."""
    graph = event.graph
    dtype = accumulator_dtype(node.accumulator)
    total = graph.constant(node.bias, dtype) if node.bias.any() else None
    operands = zip(event.inputs_of(node), node.formats, node.weights, node.operand_shifts, strict=True)
    for tensor, format, weight, shift in operands:
        product = shift_left(graph, matmul(graph, tensor, format, weight, dtype), shift)
        total = product if total is None else graph.op("Add", product, total)
    return saturate(graph, shift_half_up(graph, total, node.output_shift), node.output)
