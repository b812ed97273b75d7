"""From a graph to a checked model with the metadata that a host needs to feed it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from ...program import Program, digest
from ...version import __version__
from ..about import about_input
from .describe import node_docs, tensor_docs
from .graph import Graph
from .known import known_answer
from .opset import choose_opset, ir_version, operations
from .wide import beyond_24_bits, wide


def finish(
    graph: Graph,
    properties: Mapping[str, str],
    doc: str,
    tensors: Mapping[str, str],
    nodes: Mapping[str, str],
    opset: int | None = None,
) -> onnx.ModelProto:
    """The model of ``graph``, documented, checked strictly and with all shapes inferred.

    Args:
        graph: complete.
        properties: the model's metadata.
        doc: what the model is.
        tensors: documentation of inputs and outputs, by name or by the part before the first slash.
        nodes: documentation of operations, by a path that their names contain.
        opset: of ONNX's operators; None for the lowest that the graph needs.

    Raises:
        PumiceError: ``opset`` is out of range or lacks an operation.
    """
    built = graph.build()
    version = choose_opset(built, graph.dtypes, opset)
    model = helper.make_model(
        built,
        producer_name="pumice",
        producer_version=__version__,
        doc_string=doc,
        opset_imports=[helper.make_opsetid("", version)],
        ir_version=ir_version(version),
    )
    helper.set_model_props(model, dict(properties))
    model.graph.doc_string = doc
    for value in (*model.graph.input, *model.graph.output):
        value.doc_string = tensors.get(value.name) or tensors.get(value.name.partition("/")[0], "")
    for operation in operations(model.graph):
        paths = [path for path in nodes if f"/{path}/" in f"/{operation.name}"]
        if paths:
            operation.doc_string = nodes[max(paths, key=len)]
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def finish_program(
    graph: Graph,
    program: Program,
    doc: str,
    arithmetic: str,
    opset: int | None = None,
    layout: Mapping[str, tuple[str, int, int]] | None = None,
) -> onnx.ModelProto:
    """The model of a graph made from ``program``.

    ``arithmetic`` says "exact" or "approximate" in the metadata; ``layout`` where a step model's states lie.
    """
    properties = {**metadata(program), "arithmetic": arithmetic}
    if layout is not None:
        properties["states"] = json.dumps(layout)
    if arithmetic == "exact":
        reals = np.dtype(np.float64) in graph.dtypes.values()
        properties["tensors"] = "integers" if not reals else "whole numbers in float64"
        properties["int64"] = json.dumps(wide(graph, program))
        properties["beyond_24_bits"] = json.dumps(beyond_24_bits(graph, program))
        properties["known_answer"] = known_answer(program, graph, layout or {})
    docs = {"clock": "counts events, and says which of them belong to a window", **node_docs(program)}
    return finish(graph, properties, doc, tensor_docs(program), docs, opset)


def metadata(program: Program) -> dict[str, str]:
    """What the graph does not say: what its input is (`about_input`), formats and scales."""
    properties = {
        "program_digest": digest(program),
        "logits_frac": str(program[program.logits].output.frac),
        "edge_formats": json.dumps({node.name: str(node.output) for node in program}),
        **about_input(program),
    }
    if program.series is not None:
        properties["series_frac"] = str(program[program.series].output.frac)
    return properties
