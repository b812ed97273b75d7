"""The float graph of spiking state-space networks against the torch model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.export.onnx.float.spikingssm import build_float_sequence, build_float_step
from pumice.export.onnx.float.steps import float_feed
from pumice.models.spikingssm.build import build_spikingssm

LENGTHS = torch.tensor([60, 21, 1, 0])


@pytest.fixture(scope="module")
def make_network():
    """``make_network(**settings)``: two layers that spike, in double precision, and inputs (4, 60, 3)."""

    def make(**settings):
        chosen = {"d_model": 7, "d_state": 6, "dt_min": 0.01, "dt_max": 0.3, "tau": 0.2, **settings}
        network = build_spikingssm(chosen, num_classes=5, in_features=3, seed=1).double().eval()
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for block in network.blocks:
                block.layer.neuron.ln_vth.uniform_(-1, 0.5, generator=generator)
                if block.norm is not None:
                    block.norm.weight.uniform_(0.5, 1.5, generator=generator)
                    block.norm.bias.uniform_(-0.5, 0.5, generator=generator)
        return network, torch.randn(4, 60, 3, generator=generator).double()

    return make


@pytest.mark.parametrize("placement", ["pre", "post", "reference"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_in_double_precision_no_spike_differs(make_network, open_session, norm, placement):
    network, inputs = make_network(norm=norm, norm_placement=placement)
    with torch.no_grad():
        expected = network.sequence(inputs).numpy()
        assert 0.02 < float(network.traces(inputs)[1].spikes.mean()) < 0.7
    out = open_session(build_float_sequence(network, "abcde"))(**float_feed(inputs, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        np.testing.assert_allclose(out["series"][row, :length], expected[row, :length], rtol=0, atol=1e-10)
        mean = expected[row, :length].mean(0) if length else np.zeros(5)
        np.testing.assert_allclose(out["logits"][row], mean, rtol=0, atol=1e-10)


def test_tokens(open_session):
    network = build_spikingssm({"d_model": 7, "d_state": 4, "dt_min": 0.01}, num_classes=5, vocab=11, seed=1).double()
    tokens = torch.randint(11, (4, 60), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network.eval().sequence(tokens).numpy()
    out = open_session(build_float_sequence(network, "abcde"))(**float_feed(tokens, LENGTHS))
    for row, length in enumerate(LENGTHS.tolist()):
        np.testing.assert_allclose(out["series"][row, :length], expected[row, :length], rtol=0, atol=1e-10)


def test_step_by_step(make_network, open_session):
    network, inputs = make_network()
    with torch.no_grad():
        expected = network.sequence(inputs).numpy()
    session = open_session(build_float_step(network, "abcde"))
    fed, states = float_feed(inputs, LENGTHS), session.states(4)
    for step in range(inputs.shape[1]):
        out = session(**{name: array[:, step] for name, array in fed.items()}, **states)
        states = {name: out[name.replace("state/", "next/", 1)] for name in states}
    for row, length in enumerate(LENGTHS.tolist()[:3]):
        np.testing.assert_allclose(out["logits"][row], expected[row, :length].mean(0), rtol=0, atol=1e-10)


def test_it_says_what_it_is(make_network):
    network, _ = make_network()
    model = build_float_sequence(network.float(), "abcde")
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["arithmetic"] == "float32"
    assert json.loads(properties["class_names"]) == list("abcde")
    assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))


def test_what_reads_from_both_ends_is_refused(make_network):
    network, _ = make_network(bidirectional=True)
    with pytest.raises(PumiceError, match="from both ends; use bidirectional=false"):
        build_float_sequence(network, "abcde")
