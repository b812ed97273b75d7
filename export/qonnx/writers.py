"""How each node is written, and which cannot be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...program import Program
from ...program.arithmetic import round_half_up_shift, saturate
from ...program.bounds import largest
from ...program.formats import Format
from ...program.nodes import Add, BatchNorm, Embedding, Linear, Lookup, Multiply, Node
from ..onnx.graph import Graph
from ..onnx.qdq.quantize import power
from .dialects import Dialect
from .sums import EXACT_BITS, SUMS, Operand, Sum

Writer = Callable[[Graph, Dialect, Any, list[str]], str]
"""From the graph, the dialect, a node of its type and the tensors that it reads to the tensor of its edge."""


def write_sum(graph: Graph, dialect: Dialect, node: Node, inputs: list[str]) -> str:
    """Products with weights, their sum or product, the constant, and one rounding where there is something to round."""
    sum_ = SUMS[type(node)](node)
    total = ""
    for tensor, operand in zip(inputs, sum_.operands, strict=True):
        term = _weighted(graph, dialect, tensor, operand)
        total = graph.op("Mul" if sum_.product else "Add", total, term) if total else term
    codes, frac = sum_.constant
    if codes.any():
        width = largest(codes).bit_length() + 1
        added = dialect.constant(
            graph, codes, Format(max(width, 2), True, 0), False, np.broadcast_to(frac, codes.shape)
        )
        total = graph.op("Add", total, added)
    if sum_.rounds.any() or sum_.saturates:
        return dialect.quantize(graph, total, sum_.output)
    return graph.op("Identity", total) if total in inputs else total


def _weighted(graph: Graph, dialect: Dialect, tensor: str, operand: Operand) -> str:
    if operand.weight is None:
        return tensor
    form = Format(operand.width, True, 0)
    weight = dialect.constant(graph, operand.weight.T, form, True, operand.frac)
    return graph.op("MatMul" if operand.weight.ndim == 2 else "Mul", tensor, weight)


def write_embedding(graph: Graph, dialect: Dialect, node: Embedding, inputs: list[str]) -> str:
    """A gather from the table of finished output codes."""
    table, _ = saturate(round_half_up_shift(node.table, node.shift), node.output)
    known = dialect.constant(graph, table, node.output, False, np.asarray(node.output.frac))
    return graph.op("Gather", known, inputs[0], dtype=np.float32, axis=0)


def write_lookup(graph: Graph, dialect: Dialect, node: Lookup, inputs: list[str]) -> str:
    """A gather from the table, at the code of the operand above the lowest."""
    codes = graph.op("Mul", inputs[0], graph.constant(power(node.format.frac), np.float32))
    index = graph.cast(graph.op("Add", codes, graph.constant(-node.format.min, np.float32)), np.int64)
    table = dialect.constant(graph, node.table, node.output, False, np.asarray(node.output.frac))
    return graph.op("Gather", table, index, dtype=np.float32, axis=0)


WRITERS: Mapping[type[Node], Writer] = {
    Add: write_sum,
    BatchNorm: write_sum,
    Embedding: write_embedding,
    Linear: write_sum,
    Lookup: write_lookup,
    Multiply: write_sum,
}
"""By type of node; the others are left out."""


def kinds(names: Collection[str], setting: str = "leave_out") -> frozenset[str]:
    """Names of node types that are not to be written.

    Raises:
        PumiceError: one that is never written; names ``setting``.
    """
    known = [kind.__name__ for kind in WRITERS]
    for name in names:
        if name not in known:
            raise PumiceError(f"{setting}: {name} is no kind of node that is written; it takes {', '.join(known)}")
    return frozenset(names)


def reasons(program: Program, leave_out: Collection[str] = (), wide: bool = False) -> Callable[[Node], str]:
    """A function that says why a node of ``program`` cannot be written; empty where it can.

    Args:
        program: the node's.
        leave_out: names of types that the user does not want.
        wide: whether sums may take more than float32 holds.
    """
    token = "" if program.value_input.event_shape else program.value_input.name

    def why_not(node: Node) -> str:
        kind = type(node)
        if node.keeps_state or node.reads_out:
            return "keeps a state from event to event"
        if kind not in WRITERS:
            return f"{kind.__name__} has no exact form in operators of quantized networks"
        if kind.__name__ in leave_out:
            return f"{kind.__name__} nodes are left out, as the dialect or the user asks"
        if any((edge == token) != (WRITERS[kind] is write_embedding) for edge in node.inputs):
            return "reads tokens as numbers, or numbers as tokens"
        if any(form.signed and form.width == 1 for form in (*node.input_formats, node.output)):
            return "has an edge of one signed bit, which these tools take for -1 and 1"
        return _inexact(node, wide)

    return why_not


def beyond_float32(node: Node) -> bool:
    """Whether the sums of a node that is written take more than float32 holds."""
    return type(node) in SUMS and SUMS[type(node)](node).bits > EXACT_BITS


def _inexact(node: Node, wide: bool = False) -> str:
    """Why float32 does not hold what a node computes, with ``wide`` what it reads, adds and makes; empty if it does."""
    if type(node) not in SUMS:
        stored = max((largest(tensor.codes).bit_length() for tensor in node.tensors()), default=0)
        return _beyond("codes", stored)
    sum_: Sum = SUMS[type(node)](node)
    if sum_.output.width > EXACT_BITS and sum_.saturates:
        return f"saturates at {sum_.output.width} bits, and float32 holds {EXACT_BITS} exactly"
    if not wide:
        return _beyond("sums", sum_.bits)
    constant = largest(sum_.constant[0]).bit_length()
    return _beyond("a constant", constant) or _beyond("operands", max(form.width for form in node.input_formats))


def _beyond(what: str, bits: int) -> str:
    return f"has {what} of {bits} bits, and float32 holds {EXACT_BITS} exactly" if bits > EXACT_BITS else ""
