"""The tools that build the site can be imported; what pages train and run takes one thread."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[2] / "docs" / "tools"))


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other on a busy machine cost minutes here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
