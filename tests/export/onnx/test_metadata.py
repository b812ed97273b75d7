"""What an exported model says of itself, against the program: what a host needs to feed it and to read it."""

from __future__ import annotations

import json
from dataclasses import replace

import onnx
import pytest
from pumice.export.onnx.sequence import build_sequence
from pumice.export.onnx.step import build_step
from pumice.program import digest
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

BUILD = {"step": build_step, "sequence": build_sequence}


def properties(model):
    return {item.key: item.value for item in model.metadata_props}


def axes(value):
    return [axis.dim_value or axis.dim_param for axis in value.type.tensor_type.shape.dim]


@pytest.fixture(scope="module")
def events():
    names = ("zebra", "ape", "bee")
    return replace(random_program(2, value="token", readout="time", pairing="causal"), class_names=names)


@pytest.mark.parametrize("form", BUILD)
def test_a_program_of_events(events, form):
    model = BUILD[form](events)
    told = properties(model)
    assert json.loads(told["class_names"]) == ["zebra", "ape", "bee"]
    assert json.loads(told["gap_units_us"]) == {"gap": 500, "pool_gap": 1}
    assert told["logits_frac"] == str(events["decoder"].output.frac)
    assert events["decoder"].output.frac != events.value_input.output.frac
    assert (told["pairing"], told["program_digest"]) == ("causal", digest(events))
    assert json.loads(told["edge_formats"]) == {node.name: str(node.output) for node in events}
    assert "step_us" not in told
    assert "value_format" not in told
    assert told["arithmetic"] == "exact"
    inputs = {value.name: value for value in model.graph.input if not value.name.startswith("state/")}
    assert set(inputs) == {"token", "valid", "gap", "pool_gap"}
    time = [] if form == "step" else ["length"]
    assert all(axes(value) == ["batch", *time] for value in inputs.values())
    kinds = {"token": onnx.TensorProto.INT64, "valid": onnx.TensorProto.BOOL}
    for name, value in inputs.items():
        assert value.type.tensor_type.elem_type == kinds.get(name, onnx.TensorProto.INT64)
    (logits,) = (value for value in model.graph.output if value.name == "logits")
    assert axes(logits) == ["batch", 3]


@pytest.mark.parametrize("form", BUILD)
def test_a_clocked_network(form):
    program = replace(random_network(0, value="dense", inputs=3), step_us=4000)
    model = BUILD[form](program)
    told = properties(model)
    source = program.value_input.output
    wanted = {"width": source.width, "signed": source.signed, "frac": source.frac}
    assert json.loads(told["value_format"]) == wanted
    assert told["step_us"] == "4000"
    assert told["series_frac"] == str(program[program.series].output.frac)
    assert json.loads(told["gap_units_us"]) == {}
    assert json.loads(told["input_ranges"]) == {"value": [source.min, source.max]}
    (value,) = (value for value in model.graph.input if value.name == "value")
    assert axes(value) == ["batch", *([] if form == "step" else ["length"]), 3]
    assert value.type.tensor_type.elem_type == onnx.TensorProto.INT32
    states = {value.name for value in model.graph.input if value.name.startswith("state/")}
    assert bool(states) == (form == "step")
    if form == "step":
        after = {f"state/{value.name.removeprefix('next/')}" for value in model.graph.output if "next/" in value.name}
        assert after == states
