"""Neurons that a surrogate network trains."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.scan.threshold import threshold_scan
from pumice.models.sdn import shipped_path, shipped_sdn
from pumice.models.spikingssm.neuron import SpikingNeuron, membrane_of


@pytest.fixture
def x():
    return torch.randn(4, 3, 200, generator=torch.Generator().manual_seed(0)) + 0.2


def test_trained_by_the_surrogate_and_evaluated_exactly(x):
    neuron = SpikingNeuron(4, tau=0.125, neuron="sdn")
    x[0, 0, 50:90] = 0.95  # fires at every other step: a finite memory does not know at which
    mem = shipped_sdn()(x)
    x.requires_grad_()
    spikes = neuron(x)
    assert torch.equal(spikes, (mem + x >= 1).float())
    spikes.sum().backward()
    torch.testing.assert_close(x.grad, (1 - (mem + x - 1).abs()).clamp(min=0).detach())
    exact = neuron.eval()(x)
    assert torch.equal(exact, threshold_scan(x, 0.125))
    assert 0 < (exact != spikes).float().mean() < 0.01
    neuron.inference = "sdn"
    assert torch.equal(neuron(x), spikes)


def test_the_surrogate_is_no_part_of_the_weights(x):
    neuron = SpikingNeuron(4, tau=0.125, neuron="sdn")
    neuron(x)
    assert set(neuron.state_dict()) == {"ln_vth"}
    assert [name for name, _ in neuron.named_parameters()] == ["ln_vth"]


def test_a_file_of_ones_own(x):
    own = membrane_of(0.125, str(shipped_path(0.125)))
    assert torch.equal(own(x), shipped_sdn()(x))
    with pytest.raises(PumiceError, match=r"trained for tau=0\.125, the model has tau=0\.3"):
        membrane_of(0.3, str(shipped_path(0.125)))
    with pytest.raises(PumiceError, match=r"no surrogate network for tau=0\.3"):
        membrane_of(0.3, None)
    missing = SpikingNeuron(4, tau=0.125, neuron="sdn", sdn="missing.safetensors")
    assert missing.eval()(x).shape == x.shape
    with pytest.raises(PumiceError, match="does not exist"):
        missing.train()(x)
