"""One layer against the reference implementation's tensors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pumice.models.sdn import SurrogateDynamicNetwork, published_tensors
from pumice.models.spikingssm.config import SpikingSSMConfig
from pumice.models.spikingssm.convolution import METHODS, impulse_response
from pumice.models.spikingssm.layer import SpikingS4D

GOLDEN = Path(__file__).parents[2] / "golden" / "golden_ss4d.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive}


@pytest.fixture
def layer(golden):
    config = SpikingSSMConfig(num_classes=2, in_features=1, d_model=4, d_state=8)
    layer = SpikingS4D(config, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name in ("log_dt", "log_A_real", "A_imag"):
            getattr(layer.kernel, name).copy_(golden[f"kernel_{name}"])
        layer.kernel.C.copy_(golden["kernel_C"][0])
        layer.kernel.D.copy_(golden["D"][0])
        layer.neuron.ln_vth.copy_(golden["ln_vth"][:, 0])
        layer.output.weight.copy_(golden["output_linear_0_weight"][..., 0])
        layer.output.bias.copy_(golden["output_linear_0_bias"])
    return layer.double().eval()


def test_kernel(golden, layer):
    modes = layer.kernel.discrete()
    modes = modes._replace(D=torch.zeros_like(modes.D))
    np.testing.assert_allclose(impulse_response(modes, 128).detach(), golden["kernel"][0], atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_layer(golden, layer, method):
    layer.convolution = method
    u = golden["u"].double().movedim(0, 1)
    trace = layer.trace(u)
    np.testing.assert_allclose(trace.current.detach().movedim(0, 1), golden["neuron_in"], atol=1e-5)
    assert golden["spikes_iter"].sum() > 20
    assert torch.equal(trace.spikes.movedim(0, 1).float(), golden["spikes_iter"])


def test_training_with_the_published_surrogate_network(golden, layer):
    with np.load(GOLDEN.with_name("golden_sdn.npz"), allow_pickle=False) as archive:
        names = [f"conv{number}.{leaf}" for number in (1, 2, 3) for leaf in ("weight", "bias")]
        fused = {name: torch.from_numpy(archive[f"sdn_{name.replace('.', '_')}"]) for name in names}
    layer.neuron._membrane = SurrogateDynamicNetwork(0.125, published_tensors(fused)).forward
    u = golden["u"].double().movedim(0, 1)
    spikes = layer.train().neuron(layer.current(u)).movedim(0, 1).float()
    assert torch.equal(spikes, golden["spikes_sdn"])
    assert not torch.equal(spikes, golden["spikes_iter"])
    np.testing.assert_allclose(layer(u).detach().movedim(0, 1), golden["out"], atol=1e-5)


def test_output_of_given_spikes(golden, layer):
    out = layer.read(golden["spikes_sdn"].double().movedim(0, 1)).movedim(0, 1)
    assert (golden["spikes_sdn"] != golden["spikes_iter"]).float().mean() < 0.02
    np.testing.assert_allclose(out.detach(), golden["out"], atol=1e-6)
