"""The float graph of adaptive LIF networks against the torch model."""

import json

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.export.onnx.float.adlif import build_float_sequence, build_float_step
from pumice.export.onnx.float.steps import agreement, float_feed
from pumice.models.adlif.build import build_adlif

LENGTHS = torch.tensor([200, 71, 1, 130])


@pytest.fixture(scope="module")
def make_network():
    """``make_network(cell, dtype, **settings)``: two layers that spike, and inputs (4, 200, 3)."""

    def make(cell, dtype=torch.float32, **settings):
        settings = {"cell": cell, "hidden": 10, "layers": 2, "tau_out": [1, 20], "q": 60, **settings}
        network = build_adlif(settings, num_classes=5, in_features=3, seed=1)
        generator = torch.Generator().manual_seed(2)
        if cell != "lstm":
            with torch.no_grad():
                for layer, gain in zip(network.cells, (20, 40), strict=True):
                    layer.input.weight.mul_(gain)
                    layer.input.bias.uniform_(-0.1, 0.1, generator=generator)
        inputs = torch.randn(4, 200, 3, generator=generator)
        return network.eval().to(dtype), inputs.to(dtype)

    return make


def series_of(network, inputs):
    with torch.no_grad():
        spikes, _ = network.cells[0].sequence(inputs)
        spikes, _ = network.cells[1].sequence(spikes)
        assert 0.02 < float(spikes.mean()) < 0.7
        return network.sequence(inputs)[0].numpy()


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        ("lif", {}),
        ("ef-adlif", {}),
        ("se-adlif", {}),
        ("cuba-lif", {"rise": "one", "reset": "late-subtract"}),
        ("lif", {"reset": "late-zero", "threshold": 0.7}),
        ("cuba-lif", {"reset": "subtract"}),
        ("cuba-lif", {"refractory": 3}),
        ("lif", {"reset": "subtract", "refractory": 1, "recurrent": False}),
        ("se-adlif", {"refractory": 7}),
    ],
)
def test_in_double_precision_no_spike_differs(make_network, open_session, cell, settings):
    network, inputs = make_network(cell, torch.float64, **settings)
    expected = series_of(network, inputs)
    out = open_session(build_float_sequence(network, "abcde"))(**float_feed(inputs, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        np.testing.assert_allclose(out["series"][row, :length], expected[row, :length], rtol=0, atol=1e-12)
        np.testing.assert_array_equal(
            out["series"][row, length:], np.broadcast_to(out["logits"][row], (200 - length, 5))
        )
        np.testing.assert_allclose(out["logits"][row], expected[row, length - 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["lif", "ef-adlif", "se-adlif"])
def test_in_single_precision_up_to_a_step_where_spikes_part(make_network, open_session, cell):
    network, inputs = make_network(cell)
    found = open_session(build_float_sequence(network, "abcde"))(**float_feed(inputs, LENGTHS))["series"]
    assert found.dtype == np.float32
    figures = agreement(found, series_of(network, inputs), LENGTHS.numpy())
    assert figures["largest_difference"] < 1e-5
    assert figures["steps"] == int(LENGTHS.sum())
    assert figures["steps_together"] > 0.8 * figures["steps"]


def test_step_by_step(make_network, open_session):
    network, inputs = make_network("se-adlif", torch.float64)
    expected = series_of(network, inputs)
    session = open_session(build_float_step(network, "abcde"))
    fed, states = float_feed(inputs, LENGTHS), session.states(4)
    for step in range(inputs.shape[1]):
        out = session(**{name: array[:, step] for name, array in fed.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
    for row, length in enumerate(LENGTHS.tolist()):
        np.testing.assert_allclose(out["logits"][row], expected[row, length - 1], rtol=0, atol=1e-12)


def test_agreement_stops_where_samples_part():
    expected = np.zeros((2, 6, 3))
    expected[..., 1] = 1
    found = expected + 1e-6
    found[1, 3:] = 0
    found[1, 5, 2] = 7
    figures = agreement(found, expected, np.array([6, 5]))
    assert figures == {
        "samples": 2,
        "steps": 11,
        "largest_difference": pytest.approx(1e-6),
        "parted_samples": 1,
        "steps_together": 9,
        "same_class_steps": 9,
    }


def test_it_says_what_it_is(make_network):
    network, _ = make_network("ef-adlif")
    model = build_float_sequence(network, "abcde")
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["arithmetic"] == "float32"
    assert json.loads(properties["class_names"]) == list("abcde")
    assert (model.ir_version, model.opset_import[0].version) == (8, 16)
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))


def test_an_lstm_is_refused(make_network):
    network, _ = make_network("lstm")
    with pytest.raises(PumiceError, match=r"no writer for model\.cell=lstm"):
        build_float_sequence(network, "abcde")
