"""Golden tensors of the reference implementation and small models."""

from pathlib import Path

import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "golden_event_ssm.npz"


class Golden:
    """The golden archive, with sub-dictionaries by prefix."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __getitem__(self, name):
        return self.arrays[name]

    def under(self, prefix):
        """Every array whose name starts with ``prefix/``, the prefix cut off."""
        return {name[len(prefix) + 1 :]: value for name, value in self.arrays.items() if name.startswith(prefix + "/")}


@pytest.fixture(scope="session")
def golden_event_ssm():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return Golden(dict(archive))
