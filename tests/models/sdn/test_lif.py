import numpy as np
import pytest
import torch
from pumice.models.sdn import lif_membrane


def test_golden(golden_sdn):
    mem, spikes = lif_membrane(golden_sdn["x"], 0.125)
    assert torch.equal(mem, golden_sdn["mem_true"])
    assert torch.equal(spikes, golden_sdn["spikes_true"])


@pytest.mark.parametrize("tau", [0.0, 0.125, 0.2, 0.9])
def test_equation(tau):
    x = torch.randn(2, 3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mem, spikes = lif_membrane(x, tau)
    for row in np.ndindex(2, 3):
        u = 0.0
        for t, drive in enumerate(x[row].tolist()):
            assert mem[row][t].item() == tau * u
            reached = tau * u + drive
            assert spikes[row][t].item() == (reached >= 1)
            u = 0.0 if reached >= 1 else reached


def test_a_threshold_that_is_reached_is_a_spike():
    _, spikes = lif_membrane(torch.tensor([1.0, 0.9999999, 0.75, 0.75]), 0.125)
    assert spikes.tolist() == [1, 0, 0, 0]
    _, spikes = lif_membrane(torch.tensor([0.5, 0.9375]), 0.125)
    assert spikes.tolist() == [0, 1]


def test_nothing_is_fine():
    for shape in ((3, 0), (0, 5), (0,)):
        mem, spikes = lif_membrane(torch.zeros(shape), 0.125)
        assert mem.shape == spikes.shape == shape
