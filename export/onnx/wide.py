"""What a model keeps in int64, and why: its bounds, or sums that only the length of a recording bounds."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import onnx

from ...program import Program
from ...program.bounds import I32_LIMIT
from ...program.nodes import GAP_FORMAT, Node
from .graph import Graph
from .opset import BITWISE, operations


def wide(graph: Graph, program: Program) -> dict[str, str]:
    """A reason by node for all nodes with a tensor of int64, and for the ``clock`` that counts events."""
    names = [operation.name for operation in _of_int64(graph)]
    reasons = {"clock": "counts of events"}
    reasons |= {node.name: _reason(program, node) for node in program}
    return {name: reason for name, reason in reasons.items() if any(f"/{name}/" in f"/{label}" for label in names)}


def hazards(model: onnx.ModelProto) -> list[str]:
    """What an exact model asks for that OpenVINO's CPU plugin does not give: it keeps int64 in 32 bits, and divides and
    multiplies matrices in float32, which holds 24 bits."""
    properties = {item.key: item.value for item in model.metadata_props}
    large = [name for name, reason in json.loads(properties["int64"]).items() if " bits" in reason]
    found = [f"64-bit integers ({', '.join(large)})"] if large else []
    if any(operation.op_type == "MatMul" for operation in operations(model.graph)):
        found.append("products of matrices with operands beyond 8 bits")
    if model.opset_import[0].version < BITWISE:
        found.append(f"shifts of sums beyond 24 bits (export.opset={BITWISE} makes these exact)")
    return found


def _of_int64(graph: Graph) -> Iterator[onnx.NodeProto]:
    """Operations with a result of int64 that is neither a shape nor another name."""
    for operation in operations(graph.build()):
        wide_result = any(graph.dtypes.get(output) == np.int64 for output in operation.output)
        if wide_result and operation.op_type not in ("Shape", "Identity"):
            yield operation


def _reason(program: Program, node: Node) -> str:
    large = [f"{what} of {bound.bit_length()} bits" for what, bound in node.bounds().items() if bound >= I32_LIMIT]
    if large:
        return ", ".join(large)
    if GAP_FORMAT in node.input_formats[1:]:
        return "sums weighted by gaps" if node.reads_out or node.stride > 1 else "gaps, until they are clipped"
    if GAP_FORMAT in (*node.input_formats, node.output):
        return "gaps"
    if node.output.width > 32:
        return f"codes of {node.output.width} bits"
    return "sums over a recording" if node.keeps_state else "an index"
