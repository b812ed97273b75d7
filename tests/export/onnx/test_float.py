"""The float graph against the torch model."""

import json

import numpy as np
import onnx
import pytest
import torch
from pumice.errors import PumiceError
from pumice.export.onnx.float import real_s5, writer_of
from pumice.export.onnx.float.s5 import build_float_sequence, build_float_step, float_feed

SETTINGS = {
    "plain": {},
    "timepool": {"pooling": "timepool", "head": "timepool", "norm": "batch", "expansion": 2},
    "zoh": {"pooling": "last", "head": "last", "discretization": "zoh"},
    "dirac": {"stride": 1, "discretization": "dirac", "stages": 1},
    "dense": {"vocab": None, "in_features": 3, "clip_eigs": True, "conj_sym": False, "stride": 3},
    "bare": {"norm": "none", "activation": "relu", "feedthrough": False, "residual": False},
    "spiking": {"spiking": True, "expansion": 2, "tau": 0.5},
    "real": {"real": True, "expansion": 2, "input_gate": 2},
    "real-timepool": {"real": True, "pooling": "timepool", "head": "timepool", "norm": "batch", "decay": "shared"},
    "real-attention": {"real": True, "head": "attnpool", "pooling": "last", "norm_place": "after"},
    "spiking-each-event": {"spiking": True, "stride": 1, "norm": "batch"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_sequence_is_the_forward_pass(float_network, open_session, name):
    network = float_network(**SETTINGS[name])
    session = open_session(writer_of(network.model).build(network.model, "abcde"))
    with torch.inference_mode():
        expected = network.model(*network.batch).numpy()
    inputs = {value.name for value in session.session.get_inputs()}
    fed = {key: array for key, array in float_feed(*network.batch).items() if key in inputs}
    assert ("pool_dt" in inputs) == ("timepool" in name)
    np.testing.assert_allclose(session(**fed)["logits"], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["timepool", "dense", "spiking", "real-attention"])
def test_step_ends_where_the_forward_pass_ends(float_network, open_session, name):
    network = float_network(**SETTINGS[name])
    build = real_s5.build_float_step if name.startswith("real") else build_float_step
    session = open_session(build(network.model, "abcde"))
    with torch.inference_mode():
        expected = network.model(*network.batch).numpy()
    fed = float_feed(*network.batch)
    names = {value.name for value in session.session.get_inputs()}
    states = session.states(len(expected))
    for event in range(fed["valid"].shape[1]):
        out = session(**{key: array[:, event] for key, array in fed.items() if key in names}, **states)
        states = {key: out[key.replace("state/", "next/", 1)] for key in states}
    np.testing.assert_allclose(out["logits"], expected, rtol=1e-4, atol=2e-5)


def test_it_says_what_it_is(lowered):
    model = build_float_sequence(lowered().model, "abcde")
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["arithmetic"] == "float32"
    assert json.loads(properties["class_names"]) == list("abcde")
    assert (model.ir_version, model.opset_import[0].version) == (9, 20)  # of Gelu
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))
    axes = {value.name: [axis.dim_param for axis in value.type.tensor_type.shape.dim] for value in model.graph.input}
    assert axes["token"] == ["batch", "length"]
    onnx.checker.check_model(model, full_check=True)


def test_a_recurrence_by_cumulative_products_has_no_form_event_by_event(float_network):
    model = float_network(real=True, recurrence="as-trained").model
    with pytest.raises(PumiceError, match="as-trained has no form in ONNX"):
        writer_of(model).build(model, "abcde")
