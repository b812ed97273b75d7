"""Which version of ONNX's operators a model asks for; the lowest that its graph needs loads in the oldest runtimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper

from ...errors import PumiceError

LOWEST, HIGHEST = 16, 21
"""Operator sets that models may be written for: ONNX 1.11 (onnxruntime 1.11) to ONNX 1.16 (onnxruntime 1.18)."""

BITWISE = 18
"""From this operator set on there is ``BitwiseAnd`` of signed integers."""


def check_opset(opset: int | None, setting: str = "opset") -> None:
    """Refuse what no model is written for; None stands for the lowest that a graph needs.

    Raises:
        PumiceError: naming ``setting``.
    """
    if opset is not None and not LOWEST <= opset <= HIGHEST:
        raise PumiceError(
            f"{setting}={opset} is outside {LOWEST}..{HIGHEST}; leave it out for the lowest that a model needs"
        )


def operations(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every operation of a graph and of the graphs inside it."""
    for operation in graph.node:
        yield operation
        for attribute in operation.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from operations(attribute.g)


def choose_opset(graph: onnx.GraphProto, dtypes: Mapping[str, np.dtype], asked: int | None) -> int:
    """``asked``, or the lowest operator set that has all operations of ``graph`` with their attributes and types.

    Args:
        graph: complete.
        dtypes: element types by tensor name.
        asked: None for the lowest.

    Raises:
        PumiceError: ``asked`` is out of range or lacks an operation.
    """
    check_opset(asked)
    for opset in range(LOWEST, HIGHEST + 1) if asked is None else (asked,):
        lacking = _lacking(graph, dtypes, opset)
        if not lacking:
            return opset
    raise PumiceError(f"opset={opset} has no {lacking} as {graph.name} uses it; choose a higher one, up to {HIGHEST}")


def ir_version(opset: int) -> int:
    """The oldest version of the file format that may name this operator set."""
    return helper.find_min_ir_version_for([helper.make_opsetid("", opset)])


def _lacking(graph: onnx.GraphProto, dtypes: Mapping[str, np.dtype], opset: int) -> str:
    """The first kind of operation that an operator set does not have as it is used; empty if it has all."""
    return next((op.op_type for op in operations(graph) if not _has(opset, op, dtypes)), "")


def _has(opset: int, operation: onnx.NodeProto, dtypes: Mapping[str, np.dtype]) -> bool:
    try:
        schema = onnx.defs.get_schema(operation.op_type, opset)
    except onnx.defs.SchemaError:
        return False
    allowed = {constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints}
    pairs = [*_typed(operation.input, schema.inputs), *_typed(operation.output, schema.outputs)]
    return (
        len(operation.input) <= schema.max_input
        and all(attribute.name in schema.attributes for attribute in operation.attribute)
        and all(_type_name(dtypes[name]) in allowed.get(type_, [type_]) for name, type_ in pairs if name in dtypes)
    )


def _typed(names: Iterable[str], formal: Sequence[onnx.defs.OpSchema.FormalParameter]) -> Iterator[tuple[str, str]]:
    """Tensors and the types that the schema gives them; the last of variadic ones stands for all that follow."""
    for index, name in enumerate(names):
        yield name, formal[min(index, len(formal) - 1)].type_str


def _type_name(dtype: np.dtype) -> str:
    names = {"bool": "bool", "float32": "float", "float64": "double"}
    return f"tensor({names.get(dtype.name, dtype.name)})"
