import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.sdn import SurrogateDynamicNetwork, published_tensors
from pumice.models.sdn.kernels import BLOCK
from pumice.models.sdn.network import sweep, tensor_shapes


def random_network(layers, width, kernel_size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = tensor_shapes(layers, width, kernel_size)
    return SurrogateDynamicNetwork(
        0.2, {name: torch.randn(shape, generator=generator).mul(0.4) for name, shape in shapes.items()}
    )


def oracle(network, x):
    """The docstring's equations, a step and a sum at a time."""
    weights = {name: tensor.double().numpy() for name, tensor in network.tensors().items()}
    kernel = network.kernel_size
    padded = np.concatenate([np.zeros(kernel), x])
    h = np.stack([weights["spatial.0.weight"] @ padded[t : t + kernel] for t in range(len(x))])
    for layer in range(network.layers):
        if layer > 0:
            before = np.concatenate([np.zeros((kernel - 1, network.width)), h])
            windows = np.stack([before[t : t + kernel] for t in range(len(x))])
            h = np.einsum("tjc,cj->tc", windows, weights[f"spatial.{layer}.weight"])
        h = np.maximum(h + weights[f"spatial.{layer}.bias"], 0)
        h = np.maximum(h + h @ weights[f"feature.{layer}.weight"].T + weights[f"feature.{layer}.bias"], 0)
    return h @ weights["decoder.weight"] + weights["decoder.bias"]


def test_the_published_weights_reproduce_the_golden_tensors(published_network, golden_sdn):
    x = golden_sdn["x"]
    torch.testing.assert_close(published_network(x), golden_sdn["mem_sdn"], rtol=0, atol=1e-6)
    assert torch.equal(published_network.spikes(x), golden_sdn["spikes_sdn"])
    assert published_network.parameters_count == 153
    assert published_network.macs == 136
    assert published_network.memory == 8


@pytest.mark.parametrize(("layers", "width", "kernel_size"), [(1, 8, 8), (1, 3, 1), (2, 5, 4), (3, 4, 3)])
def test_equations(layers, width, kernel_size):
    network = random_network(layers, width, kernel_size)
    x = torch.randn(23, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(network(x).numpy(), oracle(network, x.numpy()), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("layers", "width", "kernel_size", "sweeps"), [(1, 8, 8, 0), (2, 5, 4, 2), (3, 4, 3, 1)])
def test_the_compiled_kernel_is_the_same_function(layers, width, kernel_size, sweeps, dtype):
    tensors = random_network(layers, width, kernel_size).tensors()
    network = SurrogateDynamicNetwork(0.2, tensors, sweeps)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for length in (1, 2, BLOCK - 1, BLOCK, 2 * BLOCK + 17):
        x = torch.randn(3, length, dtype=dtype, generator=torch.Generator().manual_seed(length))
        x = x * torch.tensor([[1.0], [0.1], [0.3]], dtype=dtype)  # not all near a jump of the sweeps
        found, expected = network(x), network.membrane(x)
        assert found.dtype == expected.dtype == dtype
        near = (expected + x - 1).abs() < 1e-4 if sweeps else torch.zeros_like(x, dtype=torch.bool)
        assert near.float().mean() < 0.01 or length == 1
        assert ((found - expected).abs() > tolerance).float().mean() <= near.float().mean() * (sweeps + 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_the_membrane_is_strictly_causal_and_sees_its_memory_alone(layers):
    network = random_network(layers, 8, 5)
    x = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[12] += 3
    differing = (network(x) != network(changed)).nonzero().flatten()
    assert differing.min() == 13
    assert differing.max() == 12 + network.memory


def test_shapes_rows_and_dtypes():
    network = random_network(2, 4, 3)
    x = torch.randn(3, 700, 60, generator=torch.Generator().manual_seed(1))
    mem = network(x)
    assert mem.shape == x.shape
    assert mem.dtype == torch.float32
    torch.testing.assert_close(mem[2, 699], network(x[2, 699]), rtol=0, atol=1e-5)
    torch.testing.assert_close(mem.double(), network(x.double()), rtol=0, atol=1e-5)
    assert network(torch.zeros(2, 0)).shape == (2, 0)
    assert network(torch.zeros(0, 7)).shape == (0, 7)


def test_it_has_no_gradient_and_nothing_to_train(published_network):
    x = torch.randn(2, 30, requires_grad=True)
    assert not published_network(x).requires_grad
    assert not published_network.spikes(x).requires_grad
    assert not list(published_network.parameters())
    assert len(published_network.state_dict()) == 6


def changed(**entries):
    tensors = {name: torch.zeros(shape) for name, shape in tensor_shapes(1, 4, 3).items()}
    return {name: value for name, value in {**tensors, **entries}.items() if value is not None}


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (changed(**{"decoder.bias": None}), "lacks decoder.bias"),
        (changed(more=torch.zeros(2)), "no place for more"),
        (changed(**{"feature.0.weight": torch.zeros(4, 5)}), "finite real numbers of shape"),
        (changed(**{"feature.0.weight": torch.full((4, 4), torch.nan)}), "finite"),
        (changed(**{"decoder.weight": torch.zeros(4, dtype=torch.int64)}), "finite"),
        (changed(**{"spatial.0.weight": torch.zeros(1)}), "1 to 16 layers"),
        (changed(**{"spatial.0.weight": torch.zeros(0, 4)}), "width 0"),
        ({}, "1 to 16 layers"),
    ],
)
def test_wrong_tensors_are_a_sentence(tensors, says):
    with pytest.raises(PumiceError, match=says):
        SurrogateDynamicNetwork(0.125, tensors)


@pytest.mark.parametrize("tau", [1.0, -0.1, float("nan"), 1, "0.2"])
def test_wrong_tau_is_a_sentence(tau):
    with pytest.raises(PumiceError, match="tau"):
        SurrogateDynamicNetwork(tau, changed())


def test_wrong_published_weights_are_a_sentence(published):
    with pytest.raises(PumiceError, match=r"lack conv3\.bias"):
        published_tensors({name: value for name, value in published.items() if name != "conv3.bias"})
    with pytest.raises(PumiceError, match="no place for encoder"):
        published_tensors({**published, "encoder.weight": torch.zeros(8, 1, 1)})
    with pytest.raises(PumiceError, match=r"conv2 has a weight of \(8, 4, 1\)"):
        published_tensors({**published, "conv2.weight": torch.zeros(8, 4, 1)})
    with pytest.raises(PumiceError, match=r"conv1 has a weight of \(\)"):
        published_tensors({**published, "conv1.weight": torch.zeros(())})


def exact_from(x, tau, start):
    """The membrane before the step after ``x``, of the neuron at rest at ``start``."""
    u = 0.0
    for drive in x[start:]:
        reached = tau * u + drive
        u = 0.0 if reached >= 1 else reached
    return tau * u


@pytest.mark.parametrize("sweeps", [0, 1, 3, 30])
def test_sweeps_from_zeros_are_the_neuron_begun_as_many_steps_before(sweeps):
    x = torch.randn(25, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = sweep(x, torch.zeros_like(x), 0.4, sweeps)
    expected = [exact_from(x[:t].tolist(), 0.4, max(0, t - sweeps)) for t in range(25)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-15)


def test_sweeps_of_a_network(published_network, golden_sdn):
    x, exact = golden_sdn["x"], golden_sdn["mem_true"]
    swept = SurrogateDynamicNetwork(0.125, published_network.tensors(), 3)
    torch.testing.assert_close(swept(x), sweep(x, published_network(x), 0.125, 3))
    assert (swept(x) - exact).abs().mean() < (published_network(x) - exact).abs().mean() / 50
    assert swept.memory == 11
    assert swept.macs == 139
    torch.testing.assert_close(sweep(x, exact, 0.125, 1), exact)  # where it is right it stays


def test_constant_drives_have_constant_membranes_after_the_beginning():
    network = random_network(2, 8, 5)
    mem = network(torch.full((60,), 0.93, dtype=torch.float64))
    torch.testing.assert_close(mem[network.memory :], mem[-1].expand(60 - network.memory), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sweeps", [-1, 65, 1.0, True])
def test_wrong_sweeps_are_a_sentence(sweeps):
    with pytest.raises(PumiceError, match="sweeps"):
        SurrogateDynamicNetwork(0.125, changed(), sweeps)
