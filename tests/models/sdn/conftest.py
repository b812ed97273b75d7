from pathlib import Path

import numpy as np
import pytest
import torch
from pumice.models.sdn import SurrogateDynamicNetwork, published_tensors

GOLDEN = Path(__file__).parents[2] / "golden" / "golden_sdn.npz"


@pytest.fixture(scope="session")
def golden_sdn():
    """Two sequences of 512 steps, the exact neuron and the published network on them, and the fused weights."""
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return {name: torch.from_numpy(np.array(array)) for name, array in archive.items()}


@pytest.fixture(scope="session")
def published(golden_sdn):
    names = [f"conv{layer}.{leaf}" for layer in (1, 2, 3) for leaf in ("weight", "bias")]
    return {name: golden_sdn[f"sdn_{name.replace('.', '_')}"] for name in names}


@pytest.fixture(scope="session")
def published_network(published):
    return SurrogateDynamicNetwork(0.125, published_tensors(published))
