import pytest
import torch
from pumice.train.sdn.drives import autoregressive, constant, level, mixed, near_threshold, normal, wide


def drawn(draw, samples=64, steps=512):
    return draw(torch.Generator().manual_seed(0), samples, steps)


DRAWS = [normal(), autoregressive(0.9), near_threshold(0.2), wide(0.2), mixed(0.2), constant(0.2), level(0.2, 0.1)]


@pytest.mark.parametrize("draw", DRAWS)
def test_every_drive_has_its_shape_and_is_finite(draw):
    for samples in (1, 7, 64):
        x = drawn(draw, samples, 16)
        assert x.shape == (samples, 16)
        assert x.dtype == torch.float32
        assert x.is_contiguous()
        assert bool(x.isfinite().all())


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_slow_drives_have_their_correlation(rho):
    x = drawn(autoregressive(rho), 200).double()
    assert x.var() == pytest.approx(1, abs=0.1)
    assert (x[:, 1:] * x[:, :-1]).mean() / x.var() == pytest.approx(rho, abs=0.03)


def test_levels_lie_in_the_band():
    x = drawn(constant(0.2), 99)
    assert torch.equal(x, x[:, :1].expand_as(x))
    torch.testing.assert_close(x[:, 0], 0.8 + 0.2 * torch.arange(1, 100) / 100)
    means = drawn(level(0.2, 0.01), 99).mean(1)
    assert means.min() > 0.79
    assert means.max() < 1.01
    means = drawn(near_threshold(0.2), 400).mean(1)
    assert 0.7 < means.min() < 0.85
    assert 0.98 < means.max() < 1.1


def test_mixed_drives_have_all_parts():
    x = drawn(mixed(0.2), 200)
    stds = x.std(1)
    assert (stds < 0.3).sum() >= 50
    assert (stds > 1.5).sum() >= 3
    assert ((stds - 1).abs() < 0.15).sum() >= 80
