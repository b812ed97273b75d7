"""Signs that a program tells less than its figures: layers without spikes, tied decisions, clipped values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...program import Program
from ...program.nodes import QUERY
from ...program.samples import Sample

SATURATED = 0.01
"""The share of a node's values above which it is told that they clip."""


@dataclass(frozen=True)
class Health:
    """What was seen on some samples.

    Attributes:
        samples: how many.
        silent: spiking layers without one spike; spiking: how many layers there are.
        tied: decisions whose highest score several classes share, the first of which wins; decisions: how many.
        saturated: clips by node, as a share of its outputs and state components at every event; above ``SATURATED``.
    """

    samples: int
    silent: list[str]
    spiking: int
    tied: int
    decisions: int
    saturated: dict[str, float]

    def lines(self) -> list[str]:
        """One sentence for each sign; none where all is well."""
        told = []
        if self.silent:
            which = "no layer" if len(self.silent) == self.spiking else f"not one neuron of {', '.join(self.silent)}"
            told.append(
                f"{which} spiked in {self.samples:,} samples, so that what lies behind hears nothing; lower the "
                "thresholds or train longer"
            )
        if self.tied:
            told.append(
                f"{self.tied:,} of {self.decisions:,} decisions share their highest score among classes, and the first "
                "of these wins; more steps or a finer read-out tell them apart"
            )
        if self.saturated:
            listed = ", ".join(f"{name} {share:.1%}" for name, share in self.saturated.items())
            told.append(f"values that clipped: {listed}; raise quantize.calibration.headroom or widen these layers")
        return told


def health(
    program: Program,
    samples: Sequence[Sample],
    saturations: Mapping[str, int],
    rates: Mapping[str, float],
    scores: NDArray[np.generic],
) -> Health:
    """Look at a run over ``samples``.

    Args:
        program: what ran.
        samples: what it ran on.
        saturations: clips by node over all samples, as traces count them.
        rates: spikes a neuron and step by spiking node (``fidelity.spike_rates``).
        scores: (M, C) of every decision.
    """
    events = np.array([len(times) - (program.pairing == "next") for _, times in samples], dtype=np.int64)
    shares = {}
    for node in program:
        rate = program.rates[node.name]
        rows = len(events) if rate == QUERY else int((np.maximum(events, 0) // rate).sum())
        stored = rows * (node.channels + len(node.state_fracs))
        shares[node.name] = saturations.get(node.name, 0) / max(stored, 1)
    highest = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) if len(scores) else np.zeros(0)
    return Health(
        samples=len(samples),
        silent=[name for name, rate in rates.items() if rate == 0] if len(samples) else [],
        spiking=len(rates),
        tied=int((highest > 1).sum()),
        decisions=len(scores),
        saturated={name: round(share, 4) for name, share in shares.items() if share > SATURATED},
    )
