"""What the float model holds where a program has a node."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.spikingssm.network import SpikingSSM
from ...train.data.inputs import Inputs
from ..nodes import DENSE
from ..tracing import STATE
from .formats import node_name
from .observe import block_values

NODES = {"u": "norm", "current": "ssm", "output": "out"}
"""Nodes that are called otherwise than their values."""


def float_values(model: SpikingSSM, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
    """See `Family.float_values`; of the first sample of a batch."""
    values = inputs.values[:1, : int(inputs.lengths[0])].double()
    h = model.encode(values)
    found = {DENSE: values[0], "encoder": _rows(h)}
    for number, block in enumerate(model.blocks):
        for what, value in block_values(block, h):
            name = node_name(number, NODES.get(what, what))
            if what == "states":
                found[node_name(number, "ssm") + STATE] = torch.cat([value.real, value.imag], dim=2)[0]
            else:
                found[name] = _rows(value)
            if what == "current":
                found[node_name(number, "neurons") + STATE] = _potentials(value, model.config.tau)
            h = value if what == "output" else h
    pooled = h[:, 0].mean(1) if h.shape[2] else h.new_zeros(len(h))
    found["readout"], found["decoder"] = pooled.unsqueeze(0), model.decoder(pooled).unsqueeze(0)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _rows(value: Tensor) -> Tensor:
    """(H, 1, T) as (T, H)."""
    return value[:, 0].mT


def _potentials(current: Tensor, tau: float) -> Tensor:
    """Potentials after the reset, (T, H), of currents (H, 1, T)."""
    u, kept = torch.zeros_like(current[:, 0, 0]), []
    for arriving in current[:, 0].unbind(1):
        reached = tau * u + arriving
        u = torch.where(reached >= 1, 0.0, reached)
        kept.append(u)
    return torch.stack(kept) if kept else current[:, 0].mT
