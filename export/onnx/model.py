"""From a graph to a checked model with the metadata that a host needs to feed it."""

from __future__ import annotations

import json

import onnx
from onnx import helper

from ... import __version__
from ...quantize.program import Program, digest
from ...quantize.program.nodes import DenseInput
from .graph import Graph

OPSET = 21
IR_VERSION = 10


def finish(graph: Graph, program: Program) -> onnx.ModelProto:
    """The model of ``graph``, with metadata, checked strictly and with all shapes inferred."""
    model = helper.make_model(
        graph.build(),
        producer_name="pumice",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, metadata(program))
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def metadata(program: Program) -> dict[str, str]:
    """What the graph does not say: class names, the units of the gaps in microseconds, scale of the dense input."""
    properties = {
        "program_digest": digest(program),
        "class_names": json.dumps(list(program.class_names)),
        "gap_units_us": json.dumps({node.name: node.unit_us for node in program.gap_inputs}),
        "pairing": program.pairing,
        "logits_frac": str(program[program.logits].output.frac),
    }
    if isinstance(program.value_input, DenseInput):
        format = program.value_input.output
        properties["value_format"] = json.dumps({"width": format.width, "signed": format.signed, "frac": format.frac})
    return properties
