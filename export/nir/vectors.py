"""Test vectors beside a NIR file: inputs, the spikes expected of every layer, and the read-out's potentials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...archives import save_arrays
from .write import node_name


def vectors_path(path: str | Path) -> Path:
    """Where the vectors of the file at ``path`` lie: ``net.nir`` has ``net_io.npz``."""
    return Path(path).with_name(f"{Path(path).stem}_io.npz")


@torch.no_grad()
def write_vectors(model: Any, path: str | Path, samples: Iterable[np.ndarray]) -> dict[str, int]:
    """Run a network of LIF neurons in float64 and write what goes in and comes out; return spikes and steps of neurons.

    ``x.0`` (T, F) float32 is the first sample, ``spikes.0.cells_0.lif`` (T, H) uint8 what that node gives for it, and
    ``potentials.0`` (T, C) float64 what the network ends with.

    Args:
        model: an `AdLIFNetwork` of LIF neurons.
        path: of the NIR file.
        samples: each (T, F), the values of its steps.
    """
    exact, held = deepcopy(model).double().eval(), {}
    spikes = steps = 0
    for index, values in enumerate(samples):
        x = torch.from_numpy(np.asarray(values, dtype=np.float32))
        held[f"x.{index}"] = x.numpy()
        given, row = x.double()[None], {}
        for number, cell in enumerate(exact.cells):
            given = cell.trace(given).z
            row[f"cells/{number}"] = given[0].numpy().astype(np.uint8)
        potentials, _ = exact.readout.sequence(given)
        held |= _named(row, index)
        held[f"potentials.{index}"] = potentials[0].numpy()
        spikes += sum(int(part.sum()) for part in row.values())
        steps += sum(part.size for part in row.values())
    save_arrays(vectors_path(path), held, compress=True)
    return {"spikes": spikes, "neuron_steps": steps}


def _named(row: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    return {f"spikes.{index}.{node_name(layer)}.lif": values for layer, values in row.items()}
