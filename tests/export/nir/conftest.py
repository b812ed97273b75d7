"""Networks of LIF neurons that spike, and rows for them."""

import numpy as np
import pytest
import torch
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork

EQUAL, DIFFERENT = (10.0, 10.0), (5.0, 25.0)


@pytest.fixture(scope="session")
def lif_network():
    """``lif_network(tau_u, **settings)``: a float network of two layers with random biases."""

    def make(tau_u=DIFFERENT, seed=0, **settings):
        sizes = {"num_classes": 4, "in_features": 12, "hidden": 40, "layers": 2, "tau_out": (5.0, 20.0)}
        config = AdLIFConfig(**{"cell": "lif", "tau_u": tau_u, **sizes, **settings})
        generator = torch.Generator().manual_seed(seed)
        network = AdLIFNetwork(config, generator).eval()
        with torch.no_grad():
            for cell in network.cells:
                if config.cell == "lif":
                    cell.input.weight.mul_(30)
                    cell.input.bias.add_(0.1 * torch.rand(cell.hidden, generator=generator))
        return network

    return make


@pytest.fixture(scope="session")
def rows():
    """``rows(count, steps, width)``: samples of 0 and 1."""

    def make(count=5, steps=300, width=12):
        return [(np.random.default_rng(i).random((steps, width)) < 0.2).astype(np.float32) for i in range(count)]

    return make
