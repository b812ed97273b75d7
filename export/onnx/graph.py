"""A small builder of ONNX graphs: named operations, shared constants, known element types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .opset import LOWEST

_BOOLEAN = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "Not")


class Graph:
    """Collects operations and constants; a tensor is known by its name, and its element type is remembered.

    ``scope`` goes before the names of operations, so that a viewer groups them by the program's nodes; ``prefix``
    before every name, as the names of a sub-graph must differ from those of the graph around it; ``opset`` is the
    lowest operator set that the model may be written for. ``halves`` remembers what was split (``arithmetic.py``),
    ``beyond_float32`` the scopes of quotients and matrix products that take more than 24 bits.
    """

    def __init__(self, name: str, prefix: str = "", opset: int = LOWEST) -> None:
        self.name = name
        self.prefix = prefix
        self.opset = opset
        self.scope = ""
        self.dtypes: dict[str, np.dtype] = {}
        self.beyond_float32: set[str] = set()
        self.halves: dict[str, tuple[str, str]] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._operations: list[onnx.NodeProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}
        self._casts: dict[tuple[str, np.dtype], str] = {}
        self._count = 0

    def input(self, name: str, dtype: Any, shape: Sequence[int | str | None]) -> str:
        """Declare an input of the graph and give its tensor; None is an unnamed dynamic axis."""
        name = self.prefix + name
        self.dtypes[name] = np.dtype(dtype)
        self.inputs.append(self._info(name, shape))
        return name

    def output(self, tensor: str, name: str, shape: Sequence[int | str | None]) -> str:
        """Declare ``tensor`` an output of the graph under ``name``."""
        name = self.op("Identity", tensor, output=self.prefix + name)
        self.outputs.append(self._info(name, shape))
        return name

    def order_inputs(self, names: Sequence[str]) -> None:
        """Put the inputs into the order of ``names``."""
        self.inputs.sort(key=lambda info: names.index(info.name.removeprefix(self.prefix)))

    def child(self, name: str) -> Graph:
        """A graph for an attribute of an operation. It may read this graph's tensors; its own names are new."""
        child = Graph(name, prefix=f"{self.fresh(name)}/", opset=self.opset)
        child.dtypes, child.beyond_float32 = self.dtypes, self.beyond_float32
        child.scope = "body"
        return child

    def zeros(self, batched: str, shape: Sequence[int], dtype: Any) -> str:
        """Zeros (B, *shape), with B from the first axis of ``batched``."""
        batch = self.op("Shape", batched, dtype=np.int64, start=0, end=1)
        whole = self.op("Concat", batch, self.constant(list(shape), np.int64), axis=0)
        return self.op("Expand", self.constant(0, dtype), whole, dtype=dtype)

    def constant(self, value: Any, dtype: Any) -> str:
        """A constant tensor, stored once however often it is asked for."""
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            name = f"{self.prefix}constant_{len(self._constants)}"
            self._constants[key] = numpy_helper.from_array(array, name)
            self.dtypes[name] = array.dtype
        return self._constants[key].name

    def like(self, value: Any, tensor: str) -> str:
        """A constant of the element type of ``tensor``."""
        return self.constant(value, self.dtypes[tensor])

    def op(self, kind: str, *inputs: str, output: str | None = None, dtype: Any = None, **attributes: Any) -> str:
        """Add an operation with one output. Its element type is ``dtype``, else that of the last input."""
        return self.ops(kind, *inputs, outputs=[output or self.fresh(kind)], dtypes=[dtype], **attributes)[0]

    def ops(
        self, kind: str, *inputs: str, outputs: Sequence[str], dtypes: Sequence[Any], **attributes: Any
    ) -> list[str]:
        """Add an operation with several outputs of known names."""
        label = self.fresh(kind)
        self._operations.append(helper.make_node(kind, list(inputs), list(outputs), name=label, **attributes))
        for output, dtype in zip(outputs, dtypes, strict=True):
            if dtype is None:
                dtype = bool if kind in _BOOLEAN else self.dtypes[inputs[-1]]
            self.dtypes[output] = np.dtype(dtype)
        return list(outputs)

    def first(self, kind: str, *inputs: str, outputs: Sequence[str], **attributes: Any) -> None:
        """Put an operation before all others; element types of its outputs are known already."""
        node = helper.make_node(kind, list(inputs), list(outputs), name=self.fresh(kind), **attributes)
        self._operations.insert(0, node)

    def cast(self, tensor: str, dtype: Any) -> str:
        """``tensor`` as another element type, written once; nothing where it has it."""
        dtype = np.dtype(dtype)
        if self.dtypes[tensor] == dtype:
            return tensor
        if (tensor, dtype) not in self._casts:
            to = helper.np_dtype_to_tensor_dtype(dtype)
            self._casts[tensor, dtype] = self.op("Cast", tensor, dtype=dtype, to=to)
        return self._casts[tensor, dtype]

    def same(self, tensor: str, other: str) -> None:
        """Remember that ``other`` is ``tensor`` as another element type, for `cast`."""
        self._casts[tensor, self.dtypes[other]] = other

    def fresh(self, kind: str) -> str:
        """A name not used before."""
        self._count += 1
        return f"{self.prefix}{self.scope}/{kind}_{self._count}"

    def build(self) -> onnx.GraphProto:
        """The graph: what its outputs depend on, or all of it where none is declared yet."""
        if not self.outputs:
            return helper.make_graph(self._operations, self.name, self.inputs, [], list(self._constants.values()))
        outputs = {info.name for info in self.outputs}
        operations = _without_copies(_needed(self._operations, outputs), outputs)
        read = set[str]().union(*map(_read, operations))
        constants = [constant for constant in self._constants.values() if constant.name in read]
        return helper.make_graph(operations, self.name, self.inputs, self.outputs, constants)

    def _info(self, name: str, shape: Sequence[int | str | None]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(self.dtypes[name]), list(shape))


def _needed(operations: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The operations that outputs depend on; runtimes run the others as well."""
    used, kept = set(outputs), []
    for operation in reversed(operations):
        if used.intersection(operation.output):
            kept.append(operation)
            used |= _read(operation)
    return kept[::-1]


def _read(operation: onnx.NodeProto) -> set[str]:
    """The tensors that an operation and the graphs inside it read."""
    graphs = [attribute.g for attribute in operation.attribute if attribute.type == onnx.AttributeProto.GRAPH]
    return set(operation.input).union(*(_read(inside) for graph in graphs for inside in graph.node))


def _without_copies(operations: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The operations, where what makes a tensor gives it as an output itself, in place of an Identity behind it.

    Runtimes leave an Identity where others read the tensor as well.
    """
    made = {name for operation in operations for name in operation.output if name not in outputs}
    renamed: dict[str, str] = {}
    kept = []
    for operation in operations:
        source = operation.input[0] if operation.op_type == "Identity" else ""
        if source in made - renamed.keys() and operation.output[0] in outputs:
            renamed[source] = operation.output[0]
        else:
            kept.append(operation)
    return [_renamed(operation, renamed) for operation in kept] if renamed else kept


def _renamed(operation: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy that reads and makes tensors of other names, in the graphs inside it as well."""
    copy = onnx.NodeProto()
    copy.CopyFrom(operation)
    copy.input[:] = [names.get(name, name) for name in operation.input]
    copy.output[:] = [names.get(name, name) for name in operation.output]
    for attribute in copy.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            inside = [_renamed(each, names) for each in attribute.g.node]
            del attribute.g.node[:]
            attribute.g.node.extend(inside)
    return copy
