"""How well a surrogate dynamic network stands for its neuron: spikes, membranes, the band near the threshold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...models.sdn import SurrogateDynamicNetwork, lif_membrane
from ...models.sdn.network import sweep
from .drives import Draw, autoregressive, constant, level, normal

Predict = Callable[[Tensor], Tensor]
"""Membrane (N, T) of a drive (N, T)."""


@dataclass(frozen=True)
class Agreement:
    """Figures over all steps of all sequences, against the exact neuron in float32.

    Attributes:
        sequences: how many.
        steps: of each.
        spike_rate: of the exact neuron, spikes a step.
        agreement: share of steps with the right spike or none.
        no_memory: the same of a neuron that forgets at once, ``[x >= 1]``: what agreement has to be compared with.
        recall: share of the exact spikes that are found.
        no_memory_recall: the same of the neuron that forgets.
        precision: share of the predicted spikes that are right.
        mae: mean absolute error of the membrane.
        band_steps: share of steps whose drive lies in the band (1 - tau, 1), where memory decides.
        band_agreement: agreement there; None where there is no such step.
    """

    sequences: int
    steps: int
    spike_rate: float
    agreement: float
    no_memory: float
    recall: float | None
    no_memory_recall: float | None
    precision: float | None
    mae: float
    band_steps: float
    band_agreement: float | None


def agreement(predict: Predict, x: Tensor, tau: float) -> Agreement:
    """Compare the membrane that ``predict`` gives for the drive x (N, T) with the neuron's."""
    exact, spikes = lif_membrane(x, tau)
    membrane = predict(x)
    fired, found, without = spikes > 0, membrane + x >= 1, x >= 1
    band = (x > 1 - tau) & (x < 1)
    return Agreement(
        sequences=len(x),
        steps=x.shape[1],
        spike_rate=_share(fired),
        agreement=_share(found == fired),
        no_memory=_share(without == fired),
        recall=_share(found[fired]) if bool(fired.any()) else None,
        no_memory_recall=_share(without[fired]) if bool(fired.any()) else None,
        precision=_share(fired[found]) if bool(found.any()) else None,
        mae=float((membrane - exact).abs().double().mean()),
        band_steps=_share(band),
        band_agreement=_share((found == fired)[band]) if bool(band.any()) else None,
    )


def distributions(tau: float) -> dict[str, Draw]:
    """What networks are evaluated on, by name."""
    return {
        "N(0, 1)": normal(),
        "N(0.5, 0.5)": normal(0.5, 0.5),
        "N(-1, 1)": normal(-1.0, 1.0),
        "N(0, 3)": normal(0.0, 3.0),
        "AR(1), rho 0.5": autoregressive(0.5),
        "AR(1), rho 0.9": autoregressive(0.9),
        "AR(1), rho 0.99": autoregressive(0.99),
        "near, noise 0.3": level(tau, 0.3),
        "near, noise 0.1": level(tau, 0.1),
        "near, noise 0.03": level(tau, 0.03),
        "near, noise 0.01": level(tau, 0.01),
        "near, constant": constant(tau),
    }


def evaluate(
    predict: Predict,
    tau: float,
    sequences: int = 200,
    steps: int = 1024,
    seed: int = 0,
) -> dict[str, Agreement]:
    """Figures on all `distributions`, the same drives for everything that is evaluated with one seed.

    Args:
        predict: a `SurrogateDynamicNetwork`, or one of `baselines`.
        tau: of the neuron.
        sequences: of each distribution.
        steps: of each sequence.
        seed: of the drives.
    """
    found = {}
    for name, draw in distributions(tau).items():
        digest = hashlib.sha256(f"{seed}/evaluate/{name}".encode()).digest()
        x = draw(Generator().manual_seed(int.from_bytes(digest[:7], "little")), sequences, steps)
        found[name] = agreement(predict, x, tau)
    return found


def baselines(tau: float) -> Mapping[str, Predict]:
    """What a surrogate has to be better than: no memory, and the neuron itself begun a few steps before each step."""
    sweeps = {f"{count} sweeps alone": _sweeps(tau, count) for count in (1, 2, 4, 12)}
    return {"no memory": torch.zeros_like, **sweeps}


def with_sweeps(network: SurrogateDynamicNetwork, sweeps: int) -> SurrogateDynamicNetwork:
    """The same network with another number of sweeps."""
    return SurrogateDynamicNetwork(network.tau, network.tensors(), sweeps)


def _sweeps(tau: float, count: int) -> Predict:
    return lambda x: sweep(x, torch.zeros_like(x), tau, count)


def _share(mask: Tensor) -> float:
    return float(mask.double().mean())
