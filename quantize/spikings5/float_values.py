"""Which float value every node of a program of spiking S5 stands for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ...models.spikings5.network import SpikingS5
from ...program import Program
from ...train.data.inputs import Inputs
from ..s5.float_values import float_values as values_of_events
from ..spiking_output import potentials
from ..tracing import STATE
from .model import QuantSpikingS5


def float_values(model: SpikingS5, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
    """See `Family.float_values`."""
    tau = model.config.tau
    values = values_of_events(QuantSpikingS5, model, program, inputs)
    for name in [name for name in values if name.endswith("/current")]:
        held = potentials(torch.from_numpy(values[name]), tau)
        values[name.removesuffix("current") + "neurons" + STATE] = held.numpy()
    return values
