"""What NIR's nodes hold of a float network of LIF neurons, or why they cannot; the recipe of both directions.

NIR's equations are continuous, and readers take them one step dt at a time, by Euler's method:

    LIF:      v^ = v + dt / tau (r I - v);  z = [v^ > v_threshold];  v = v_reset = 0 where z, else v^
    CubaLIF:  i = i + dt / tau_syn (w_in I - i);  v^ = v + dt / tau_mem (r i - v);  z and v as above
    IF:       v^ = v + dt r I;  z and v as above
    LI, I:    as LIF and IF, without spikes

so that a decay alpha is tau = dt / (1 - alpha). With r = tau / dt the gain of I is 1, and what Pumice multiplies I by,
1 - alpha with ``rise`` "leak", goes into the weights and the bias that make I.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import PumiceError
from ...models.adlif.cells import CubaLIFCell, LIFCell
from ...models.adlif.network import AdLIFNetwork
from ...models.adlif.readout import LeakyIntegrator
from ...models.real_s5.classifier import RealS5Classifier
from ...models.s5.classifier import S5Classifier
from ...models.spikings5.network import SpikingS5
from ...models.spikingssm.network import SpikingSSM

Array = np.ndarray
CURE = (
    "NIR takes networks of LIF neurons (family adlif with model.cell=lif or cuba-lif); export this one with "
    "target=onnx or c, or with nodes of Pumice's own by nir.namespace=pumice"
)
OF_CELLS = {
    "ef-adlif": "its neurons have an adaptation, which no NIR node has",
    "se-adlif": "its neurons have an adaptation, which no NIR node has",
    "lstm": "its cells have gates, which no NIR node has",
}
OF_MODELS: Mapping[type[nn.Module], tuple[str, str]] = {
    S5Classifier: ("encoder/0", "its modes are complex, and nir.LI is real"),
    RealS5Classifier: (
        "encoder/0",
        "its real modes would be LI nodes, but the product of its outputs with a sigmoid (the gate) has no NIR node, "
        "nor have norms and windows of events",
    ),
    SpikingS5: ("encoder/0", "its modes are complex, and nir.LI is real"),
    SpikingSSM: ("blocks/0", "its modes are complex, and nir.LI is real"),
}
"""The first layer that NIR cannot hold, and why, by kind of model."""


@dataclass(frozen=True, eq=False)
class Folded:
    """One layer as NIR has it, float64.

    Attributes:
        name: of the layer in Pumice: ``cells/0``, ``readout``.
        weight: (H, F), what multiplies I folded in; likewise ``bias`` (H,) and ``recurrent`` (H, H).
        recurrent: None of a layer without.
        alpha: (H,) decay; 1 of all neurons or of none.
        beta: (H,) decay of the synaptic current; None without one.
        threshold: None of leaky integrators.
        own: parameters that the file's values do not give back to the last bit, by name in the state dict.
    """

    name: str
    weight: Array
    bias: Array
    alpha: Array
    recurrent: Array | None
    threshold: float | None
    beta: Array | None
    own: Mapping[str, Array]


def why_not(model: nn.Module) -> str | None:
    """Why NIR cannot hold a float model exactly, by its first layer that it cannot; None where it can."""
    for kind, (layer, reason) in OF_MODELS.items():
        if isinstance(model, kind):
            return f"{layer}: {reason}; {CURE}"
    if not isinstance(model, AdLIFNetwork):
        return f"a {type(model).__name__} has no form in NIR; {CURE}"
    missing = OF_CELLS.get(model.config.cell)
    return f"cells/0: {missing}; {CURE}" if missing else None


@torch.no_grad()
def layers_of(model: nn.Module) -> list[Folded]:
    """The layers of a network of LIF neurons, its read-out the last.

    Raises:
        PumiceError: what NIR does not have; names the layer.
    """
    reason = why_not(model)
    if reason:
        raise PumiceError(reason)
    exact = deepcopy(model).double()
    assert isinstance(exact, AdLIFNetwork)
    found = [_cell(f"cells.{index}", cell) for index, cell in enumerate(exact.cells)]
    return [*found, readout_layer(exact.readout)]


def _cell(name: str, cell: Any) -> Folded:
    assert isinstance(cell, LIFCell | CubaLIFCell)
    constants = cell.constants()
    alpha, own = _alike(name, constants.alpha.numpy()), _own(f"{name}.tau_u.p", cell.tau_u.p)
    beta = None
    if isinstance(cell, CubaLIFCell):
        beta, own = constants.beta.numpy(), own | _own(f"{name}.tau_i.p", cell.tau_i.p)
        if np.any(beta == 1):
            raise PumiceError(f"{name}: a synaptic current does not decay, which no NIR node has; {CURE}")
    rise = constants.risen.numpy()[:, None]
    return Folded(
        name.replace(".", "/"),
        cell.input.weight.numpy() * rise,
        cell.input.bias.numpy() * rise[:, 0],
        alpha,
        cell.recurrent.numpy() * rise if cell.recurrent.shape[1] else None,
        cell.spiking.threshold,
        beta,
        own,
    )


def readout_layer(readout: LeakyIntegrator) -> Folded:
    """The leaky integrators of a network in float64.

    Raises:
        PumiceError: some leak and others do not.
    """
    kappa = readout.tau.decay()
    rise = readout.risen(kappa).numpy()
    weight, bias = readout.linear.weight.numpy() * rise[:, None], readout.linear.bias.numpy() * rise
    kept = _alike("readout", kappa.numpy())
    return Folded("readout", weight, bias, kept, None, None, None, _own("readout.tau.p", readout.tau.p))


def _alike(name: str, alpha: Array) -> Array:
    """Decays of which all are 1 or none: a node leaks or does not.

    Raises:
        PumiceError: some are.
    """
    if 0 < np.count_nonzero(alpha == 1) < len(alpha):
        raise PumiceError(f"{name}: some neurons leak and others do not, which no NIR node has; {CURE}")
    return alpha


def _own(name: str, parameter: torch.Tensor | None) -> dict[str, Array]:
    return {} if parameter is None else {name: parameter.numpy().astype(np.float32)}


def unfolded(values: Array, alpha: Array, rise: str) -> Array:
    """Weights (H, ...) as they were before ``1 - alpha`` (H,) was folded in, where ``rise`` is "leak"; float32.

    Product and quotient err by 2^-52 of the value together: what was float32 comes back to the last bit.
    """
    if rise == "one":
        return values.astype(np.float32)
    leaks = 1 - alpha
    return (values.astype(np.float64) / leaks.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float32)
