"""A part as an ONNX model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from ...program import Program, digest
from ...program.nodes import Node
from ...version import __version__
from ..onnx.describe import node_docs
from ..onnx.graph import Graph
from ..onnx.opset import ir_version
from .dialects import DOMAIN, Dialect
from .parts import Part
from .runnable import runnable
from .writers import WRITERS

ROUNDING = (
    "rounded sums lie half a unit of their last bit above the program's, so that none is a tie: any rounding to the "
    "nearest gives floor(x + 1/2)"
)


def build(program: Program, part: Part, dialect: Dialect) -> onnx.ModelProto:
    """The model of a part, checked. Inputs and outputs have the names of the edges: real values, ``code 2**-frac``, as
    float32 (batch, channels); tokens int64 (batch,).
    """
    graph = Graph("part", opset=dialect.opset)
    edges, tokens = {}, token_name(program)
    for node in part.inputs:
        given = graph.input(
            node.name, *((np.int64, [dialect.batch]) if node.name == tokens else _floats(node, dialect))
        )
        graph.scope = node.name
        edges[node.name] = given if node.name == tokens else dialect.quantize(graph, given, node.output)
    for node in part.nodes:
        graph.scope = node.name
        edges[node.name] = WRITERS[type(node)](graph, dialect, node, [edges[edge] for edge in node.inputs])
    named = {edges[node.name]: node.name for node in part.nodes}
    built, docs = graph.build(), node_docs(program)
    for operation in built.node:
        operation.input[:] = [named.get(name, name) for name in operation.input]
        operation.output[:] = [named.get(name, name) for name in operation.output]
        operation.doc_string = docs.get(operation.name.rpartition("/")[0], "")
    shapes = {node.name: [dialect.batch, node.channels] for node in part.outputs}
    built.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    return _model(built, dialect, _told(program, part, dialect))


def _floats(node: Node, dialect: Dialect) -> tuple[Any, list[int | str | None]]:
    return np.float32, [dialect.batch, node.channels]


def token_name(program: Program) -> str:
    """The input that carries tokens; empty where there is none."""
    return "" if program.value_input.event_shape else program.value_input.name


def _model(graph: onnx.GraphProto, dialect: Dialect, told: Mapping[str, str]) -> onnx.ModelProto:
    domains = {"": dialect.opset, **{node.domain: 1 for node in graph.node if node.domain == DOMAIN}}
    model = helper.make_model(
        graph,
        producer_name="pumice",
        producer_version=__version__,
        doc_string="a part without a state of an integer program, exact in every bit",
        opset_imports=[helper.make_opsetid(*entry) for entry in domains.items()],
        ir_version=ir_version(dialect.opset),
    )
    helper.set_model_props(model, dict(told))
    onnx.checker.check_model(model)
    known = onnx.shape_inference.infer_shapes(runnable(model), strict_mode=True)
    model.graph.value_info.extend(known.graph.value_info)
    return model


def _told(program: Program, part: Part, dialect: Dialect) -> dict[str, str]:
    edges = (*part.inputs, *part.nodes)
    return {
        "program_digest": digest(program),
        "dialect": dialect.name,
        "arithmetic": "exact",
        "rounding": ROUNDING,
        "nodes": json.dumps([node.name for node in part.nodes]),
        "edge_formats": json.dumps({node.name: str(node.output) for node in edges}),
        "provenance": json.dumps(program.provenance, sort_keys=True),
    }
