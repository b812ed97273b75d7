"""How near predicted values are to those that were to be told, and what stands beside such figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.audio import scale_invariant_signal_noise_ratio


def value_figures(
    outputs: NDArray[np.floating],
    targets: NDArray[np.floating],
    names: Iterable[str],
    recordings: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Figures of values (M, F) told at M steps.

    Args:
        outputs: what a model says.
        targets: what it should.
        names: of the F values.
        recordings: (M,), the number of the recording that each step belongs to; None for one alone.

    Returns:
        ``samples`` M; ``recordings``; ``loss``, the mean squared error; ``loss_of_mean``, that of the targets' own
        means; ``loss_by_value``; and ``si_snr_db``, the scale-invariant signal-to-noise ratio of all values of a
        recording together (Le Roux et al. 2019), the mean over recordings that are not silent, None where all are.
    """
    wanted = targets.astype(np.float64)
    squared = (outputs.astype(np.float64) - wanted) ** 2
    numbers = np.zeros(len(wanted), dtype=np.int64) if recordings is None else recordings
    own = np.unique(numbers)
    ratios = [_si_snr(outputs[numbers == number], wanted[numbers == number]) for number in own]
    known = [ratio for ratio in ratios if ratio is not None]
    return {
        "samples": len(wanted),
        "recordings": len(own),
        "loss": float(squared.mean()),
        "loss_of_mean": float(wanted.var(axis=0).mean()),
        "loss_by_value": {name: float(error) for name, error in zip(names, squared.mean(axis=0), strict=True)},
        "si_snr_db": float(np.mean(known)) if known else None,
    }


def value_text(figures: Mapping[str, Any]) -> str:
    """The figures for people: ``squared error 0.0123, SI-SNR 8.1 dB``."""
    ratio = "" if figures["si_snr_db"] is None else f", SI-SNR {figures['si_snr_db']:.2f} dB"
    return f"squared error {figures['loss']:.4g}{ratio}"


def _si_snr(outputs: NDArray[np.floating], targets: NDArray[np.float64]) -> float | None:
    said, wanted = (torch.from_numpy(part.astype(np.float64).reshape(-1)) for part in (outputs, targets))
    if not len(wanted) or float(wanted.std(unbiased=False)) == 0:
        return None
    return float(scale_invariant_signal_noise_ratio(said, wanted))
