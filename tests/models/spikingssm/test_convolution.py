"""The convolution's three ways, among each other and against a loop."""

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.spikingssm.convolution import (
    METHODS,
    chunk_size,
    convolve,
    convolve_chunked,
    convolve_fft,
    states,
)
from pumice.models.spikingssm.s4d import KERNELS, S4D


def state_spaces(kernel="s4d-lin", channels=3, modes=4):
    generator = torch.Generator().manual_seed(1)
    made = S4D(channels, modes, kernel=kernel, dt_min=0.004, dt_max=0.4, generator=generator).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
    return made


def signal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def test_against_a_loop_in_numpy():
    s4d = state_spaces("trainable-b")
    u = signal(3, 2, 40)
    A = -np.exp(s4d.log_A_real.detach().numpy()) + 1j * s4d.A_imag.detach().numpy()
    B, C = (torch.view_as_complex(getattr(s4d, name).detach()).numpy() for name in "BC")
    dt, D = np.exp(s4d.log_dt.detach().numpy()), s4d.D.detach().numpy()
    decay = np.exp(dt[:, None] * A)
    held = (decay - 1) / A * B
    x = np.zeros((3, 2, 4), dtype=complex)
    for t in range(40):
        x = decay[:, None] * x + held[:, None] * u[..., t].numpy()[..., None]
        y = 2 * (C[:, None] * x).sum(2).real + D[:, None] * u[..., t].numpy()
        for method in METHODS:
            found = convolve(s4d.discrete(), u, method)[..., t].detach()
            np.testing.assert_allclose(found, y, atol=1e-9)
    np.testing.assert_allclose(states(s4d.discrete(), u)[:, :, -1].detach().numpy() * held[:, None], x, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("length", [1, 7, 64, 65, 300])
def test_all_ways_agree_with_their_gradients(kernel, length):
    s4d = state_spaces(kernel)
    u, weights = signal(3, 2, length).requires_grad_(), signal(3, 2, length)
    scale = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    found = {}
    for method in METHODS:
        y = convolve(s4d.discrete(scale), u, method)
        found[method] = [y.detach(), *torch.autograd.grad((y * weights).sum(), [u, *s4d.parameters()])]
    for method in METHODS[1:]:
        for one, other in zip(found["chunked"], found[method], strict=True):
            torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 3, 16, 100])
def test_the_size_of_chunks_changes_nothing(size):
    s4d, u = state_spaces(), signal(3, 2, 50)
    torch.testing.assert_close(convolve_chunked(s4d.discrete(), u, size), convolve_fft(s4d.discrete(), u))


def test_chunks_leave_little_padding():
    for length in (1, 50, 784, 1024, 4096, 16_000):
        for modes in (2, 8, 32):
            size = chunk_size(length, modes)
            assert 1 <= size <= length
            assert -(-length // size) * size - length <= 0.03 * length


def test_memory_grows_with_the_length_not_its_square():
    """Of what the backward pass keeps: at most some numbers a step and channel."""
    s4d, kept = state_spaces(), []

    def pack(tensor):
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    u = signal(3, 1, 20_000).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        convolve(s4d.discrete(), u)
    assert sum(kept) < 12 * u.numel() * u.element_size()


def test_an_unknown_way_is_refused():
    with pytest.raises(PumiceError, match="choose one of chunked, fft, recurrent"):
        convolve(state_spaces().discrete(), signal(3, 2, 4), "slow")
