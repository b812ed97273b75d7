"""Two classifiers on the same samples: where they part, and whether that could be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class Paired:
    """Disagreements of two classifiers, a and b, on the same samples.

    Attributes:
        same_class: samples on which both name one class.
        only_a_right, only_b_right: samples that one alone gets right.
        mcnemar_p: two-sided exact p of McNemar's test (McNemar 1947): the chance of a split of the samples that one
            alone gets right at least as uneven as this one if both were equally good; 1 where there are none.
    """

    samples: int
    same_class: int
    only_a_right: int
    only_b_right: int
    mcnemar_p: float


def compare_decisions(a: np.ndarray, b: np.ndarray, labels: np.ndarray) -> Paired:
    """Compare class decisions ``a`` and ``b``, (N,) each, on samples of classes ``labels`` (N,)."""
    a_alone = int(((a == labels) & (b != labels)).sum())
    b_alone = int(((b == labels) & (a != labels)).sum())
    return Paired(len(labels), int((a == b).sum()), a_alone, b_alone, exact_p(a_alone, b_alone))


def exact_p(a_alone: int, b_alone: int) -> float:
    """Two-sided exact p of McNemar's test: of ``a_alone`` or a more uneven split of both under a fair coin."""
    discordant = a_alone + b_alone
    return float(binomtest(a_alone, discordant, 0.5).pvalue) if discordant else 1.0
