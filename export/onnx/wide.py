"""What a model keeps in int64, and why: its bounds, or sums that only the length of a recording bounds."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import onnx

from ...program import Program
from ...program.bounds import I32_LIMIT
from ...program.nodes import GAP, GAP_FORMAT, Node
from .arithmetic import FLOAT32_LIMIT
from .graph import Graph
from .opset import BITWISE, operations


def wide(graph: Graph, program: Program) -> dict[str, str]:
    """A reason by node for all nodes with a tensor of int64, and for the ``clock`` that counts events."""
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for operation in operations(graph.build()):
        if any(graph.dtypes.get(output) == np.int64 for output in operation.output):
            kinds[operation.name].add(operation.op_type)
    found = {}
    for name in ("clock", *program.by_name):
        own = set().union(*(of for label, of in kinds.items() if f"/{name}/" in f"/{label}"))
        if own - {"Shape", "Identity"}:
            found[name] = _reason(program[name], own) if name in program.by_name else "counts of events"
    return found


def beyond_24_bits(graph: Graph, program: Program) -> list[str]:
    """The nodes with quotients or matrix products of more than 24 bits; in float64, with any number of more."""
    if np.dtype(np.float64) in graph.dtypes.values():
        return [node.name for node in program if max(node.bounds().values(), default=0) >= FLOAT32_LIMIT]
    return [name for name in program.by_name if any(f"/{name}/" in f"/{scope}/" for scope in graph.beyond_float32)]


def hazards(model: onnx.ModelProto) -> list[str]:
    """What an exact model asks for that OpenVINO's CPU plugin does not give.

    It keeps int64 in 32 bits, and divides and multiplies matrices in float32, which holds 24 bits.
    """
    properties = {item.key: item.value for item in model.metadata_props}
    integers = properties["tensors"] == "integers"
    large = [name for name, reason in json.loads(properties["int64"]).items() if re.search("bits|sums", reason)]
    narrow = [name for name in json.loads(properties["beyond_24_bits"]) if name not in large]
    found = []
    if large:
        found.append(f"64-bit integers of {_some(large)}")
    if narrow:
        bitwise = model.opset_import[0].version >= BITWISE
        ways = [*([] if integers else ["export.integers=true"]), *([] if bitwise else [f"export.opset={BITWISE}"])]
        more = f" (fewer with {' '.join(ways)})" if ways else ""
        found.append(f"quotients or products beyond 24 bits of {_some(narrow)}{more}")
    return found


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _reason(node: Node, kinds: set[str]) -> str:
    """Why a node has operations of these ``kinds`` in int64."""
    if GAP_FORMAT in node.input_formats[1:] and kinds <= {"Where", "Identity", "Shape"}:
        return "gaps, until they are limited"
    if node.edge(GAP) and ("Loop" in kinds or not kinds & {"Mul", "Sub", "Div"}):
        return "gaps, digit by digit"
    large = [f"{what} of {bound.bit_length()} bits" for what, bound in node.bounds().items() if bound >= I32_LIMIT]
    if large and kinds - {"Cast", "Identity"}:
        return ", ".join(large)
    if GAP_FORMAT in node.input_formats[1:]:
        return "sums weighted by gaps"
    if GAP_FORMAT in (*node.input_formats, node.output):
        return "gaps"
    if node.output.width > 32:
        return f"codes of {node.output.width} bits"
    return "sums over a recording" if node.keeps_state else "an index"
