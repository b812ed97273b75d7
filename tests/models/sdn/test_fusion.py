import copy

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn.fusion import fuse
from pumice.models.sdn.trainable import SDNConfig, TrainableSDN


def trained(n_layers=1, d_model=8, kernel_size=8, seed=0):
    """A network whose norms have seen data, with weights and biases of their own."""
    torch.manual_seed(seed)
    network = TrainableSDN(SDNConfig(n_layers=n_layers, d_model=d_model, kernel_size=kernel_size))
    for layer in (*network.spatial, *network.feature):
        torch.nn.init.normal_(layer.norm.weight)
        torch.nn.init.normal_(layer.norm.bias)
    for _ in range(3):
        network(torch.randn(4, 64))
    return network


@pytest.mark.parametrize(("n_layers", "d_model", "kernel_size"), [(1, 8, 8), (2, 5, 4), (3, 4, 1)])
def test_the_reduced_network_is_the_same_function(n_layers, d_model, kernel_size):
    network = trained(n_layers, d_model, kernel_size)
    before = copy.deepcopy(network.state_dict())
    reduced, check = fuse(network, 0.2, sweeps=0)
    assert reduced.tau == 0.2
    assert check.float64 < 1e-10
    x = torch.randn(3, 50, generator=torch.Generator().manual_seed(5))
    expected = network.eval()(x)
    torch.testing.assert_close(reduced(x), expected, rtol=0, atol=1e-4)
    assert expected.abs().max() > 0.1
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_trained_network_is_strictly_causal():
    network = trained(2, 4, 3).double().eval()
    x = torch.randn(50, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    other = x.clone()
    other[:, 10] += 2
    differing = (network(x) != network(other)).nonzero()[:, 1]
    assert differing.min() == 11
    assert differing.max() == 15


def test_a_reduced_network_that_differs_is_refused(monkeypatch):
    network = trained()
    monkeypatch.setattr(
        "pumice.models.sdn.fusion._folded",
        lambda weight, norm: (weight, norm.bias),  # forgets the gain
    )
    with pytest.raises(PumiceError, match="differs from the trained one"):
        fuse(network, 0.125)


def test_weights_that_are_not_finite_are_refused():
    network = trained()
    torch.nn.init.constant_(network.decoder.bias, float("nan"))
    with pytest.raises(PumiceError, match="finite"):
        fuse(network, 0.125)


@pytest.mark.parametrize("sizes", [{"n_layers": 0}, {"d_model": 1025}, {"kernel_size": 2.0}, {"n_layers": True}])
def test_wrong_sizes_are_a_sentence(sizes):
    with pytest.raises(PumiceError, match=next(iter(sizes))):
        SDNConfig(**sizes)
