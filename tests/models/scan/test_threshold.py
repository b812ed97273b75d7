"""Neurons reset to zero: kernels against a loop, gradients against their definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.scan.threshold import GRADIENTS, IMPLEMENTATIONS, reach, threshold_scan, threshold_step


def drive(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.3


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 17), tau=st.sampled_from([0.0, 0.125, 0.2, 0.9]))
@settings(max_examples=20, deadline=None)
def test_spikes_against_a_loop(implementation, seed, rows, tau):
    x = drive(rows, 30, seed=seed)
    spikes = threshold_scan(x, tau, implementation=implementation)
    for row in range(rows):
        u = 0.0
        for t in range(30):
            u = tau * u + float(x[row, t])
            assert float(spikes[row, t]) == float(u >= 1)
            u = 0.0 if u >= 1 else u


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_threshold_that_is_reached_counts(implementation):
    x = torch.tensor([[1.0, 1 - 2**-23, 0.875 + 2**-20, 0.875 + 2**-20, 0.875]])
    assert threshold_scan(x, 0.125, implementation=implementation).tolist() == [[1, 0, 1, 0, 0]]


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_of_both_implementations(gradient):
    found = []
    for implementation in IMPLEMENTATIONS:
        x = drive(3, 5, 40).requires_grad_()
        (threshold_scan(x, 0.3, gradient, implementation=implementation) * drive(3, 5, 40, seed=1)).sum().backward()
        found.append(x.grad)
    torch.testing.assert_close(*found)


def test_gradient_through_the_potential_and_not_the_reset():
    x, weights, tau = drive(1, 20), drive(1, 20, seed=3), 0.4
    u, pre = 0.0, []
    for t in range(20):
        pre.append(tau * u + float(x[0, t]))
        u = 0.0 if pre[-1] >= 1 else pre[-1]
    slope = np.maximum(0, 1 - np.abs(np.array(pre) - 1))
    expected = np.zeros(20)
    for t in range(20):  # d z_t / d x_s = slope_t tau^(t - s), as long as nothing spikes from s to t - 1
        factor = slope[t] * float(weights[0, t])
        for s in range(t, -1, -1):
            expected[s] += factor
            factor *= tau * (s == 0 or pre[s - 1] < 1)
    x.requires_grad_()
    (threshold_scan(x, tau, "bptt") * weights).sum().backward()
    np.testing.assert_allclose(x.grad[0], expected, atol=1e-12)
    x.grad = None
    (threshold_scan(x, tau, "sltt") * weights).sum().backward()
    np.testing.assert_allclose(x.grad[0], slope * weights[0].numpy(), atol=1e-12)


def test_steps_are_the_scan():
    x = drive(4, 25)
    u, spikes = torch.zeros(4, dtype=torch.float64), []
    for t in range(25):
        z, u = threshold_step(x[:, t], u, 0.125)
        spikes.append(z)
    assert torch.equal(torch.stack(spikes, 1), threshold_scan(x, 0.125))
    assert 0 < torch.stack(spikes).mean() < 1


def test_slope_is_a_triangle_around_the_threshold():
    u = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.25, 2.0, 3.0], requires_grad=True)
    reach(u).sum().backward()
    assert u.grad.tolist() == [0, 0, 0.5, 1, 0.75, 0, 0]


def test_unknown_names_are_refused():
    with pytest.raises(PumiceError, match="choose one of bptt, sltt"):
        threshold_scan(drive(1, 3), 0.1, "other")
    with pytest.raises(PumiceError, match="choose one of numba, torch"):
        threshold_scan(drive(1, 3), 0.1, implementation="other")
