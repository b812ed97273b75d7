"""What drives modes and what is read of them, against PyTorch's own operations, forward and backward."""

from __future__ import annotations

import pytest
import torch
from pumice.quantize.kernels import channels
from pumice.quantize.kernels.channels import drive_modes, read_modes


def made(dtype, *shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype).requires_grad_()


@pytest.fixture(params=[1, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 7, 3, 5), (5, 60, 8, 64), (1, 1, 1, 1)])
def test_values_and_gradients_are_those_of_plain_operations(shape, dtype, threads, monkeypatch):
    batch, steps, modes, width = shape
    unit = torch.exp2(torch.arange(modes * width) % 9).reshape(modes, width)
    found = {}
    for name in ("compiled", "plain"):
        if name == "plain":
            monkeypatch.setattr(channels, "fits", lambda x: False)
        u, weights = made(dtype, batch, steps, width), made(dtype, 2 * modes, width, seed=1)
        drive = drive_modes(u, unit.to(dtype))
        states = drive * made(dtype, *drive.shape, seed=2).detach() + made(dtype, *drive.shape, seed=3).detach()
        y = read_modes(states, weights)
        (y * made(dtype, *y.shape, seed=4).detach()).sum().backward()
        found[name] = drive.detach(), y.detach(), u.grad, weights.grad
    for ours, plain in zip(*found.values(), strict=True):
        assert ours.dtype == plain.dtype == dtype
        precise = dtype == torch.float64
        scale = float(plain.abs().max())
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=(1e-13 if precise else 1e-5) * max(scale, 1))
    assert torch.equal(found["compiled"][0], found["plain"][0])


def test_gradients_of_a_read_by_differences():
    states, weights = made(torch.float64, 2, 3, 8), made(torch.float64, 4, 2, seed=1)
    assert torch.autograd.gradcheck(read_modes, (states, weights))
