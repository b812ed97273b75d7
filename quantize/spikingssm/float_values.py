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
from ..spiking_output import potentials
from ..tracing import STATE
from .formats import node_name
from .observe import block_values
from .output import SpikingChannels

NODES = {"u": "norm", "current": "ssm", "output": "out"}
"""Nodes that are called otherwise than their values."""


def float_values(model: SpikingSSM, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
    """See `Family.float_values`; of the first sample of a batch."""
    values, dense = inputs.values[:1, : int(inputs.lengths[0])], model.config.vocab is None
    values = values.double() if dense else values
    h, output = model.encode(values), SpikingChannels(model.config.tau)
    found = {DENSE: values[0], "encoder": _rows(h)} if dense else {"embedding": _rows(h)}
    for number, block in enumerate(model.blocks):
        for what, value in block_values(block, output, h):
            name = node_name(number, NODES.get(what, what))
            if what == "states":
                found[node_name(number, "ssm") + STATE] = torch.cat([value.real, value.imag], dim=2)[0]
            else:
                found[name] = _rows(value)
            if what == "current":
                found[node_name(number, "neurons") + STATE] = potentials(_rows(value), output.tau)
            h = value if what == "output" else h
    pooled = h[:, 0].mean(1) if h.shape[2] else h.new_zeros(len(h))
    found["readout"], found["decoder"] = pooled.unsqueeze(0), model.decoder(pooled).unsqueeze(0)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _rows(value: Tensor) -> Tensor:
    """(H, 1, T) as (T, H)."""
    return value[:, 0].mT
