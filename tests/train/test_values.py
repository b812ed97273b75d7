"""Figures of values: squared errors and the scale-invariant ratio, against their definitions in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from pumice.train.evaluate import Predictions, figures_of
from pumice.train.values import value_text


def ratio_db(said, wanted):
    """Le Roux et al. 2019: both without their means, and the wanted one scaled to what of it is in the said one."""
    said, wanted = said - said.mean(), wanted - wanted.mean()
    target = (said @ wanted) / (wanted @ wanted) * wanted
    return 10 * np.log10((target @ target) / ((said - target) @ (said - target)))


def test_figures_of_values():
    rng = np.random.default_rng(0)
    numbers = np.repeat([0, 1, 2], [7, 1, 12])
    targets = rng.normal(size=(20, 3)).astype(np.float32)
    targets[7] = 0.25  # a recording that is silent
    outputs = targets + rng.normal(size=(20, 3)) * 0.3 + 0.1
    found = figures_of(Predictions(outputs, targets, recordings=numbers), ["a", "b", "c"])
    assert found["samples"] == 20
    assert found["recordings"] == 3
    error = (outputs - targets.astype(np.float64)) ** 2
    assert found["loss"] == pytest.approx(error.mean())
    assert found["loss_by_value"] == pytest.approx(dict(zip("abc", error.mean(axis=0), strict=True)))
    assert found["loss_of_mean"] == pytest.approx(((targets - targets.mean(axis=0)) ** 2).mean(), rel=1e-6)
    ratios = [ratio_db(outputs[numbers == n].ravel(), targets[numbers == n].astype(float).ravel()) for n in (0, 2)]
    assert found["si_snr_db"] == pytest.approx(np.mean(ratios), abs=1e-4)
    assert not {"accuracy", "confusion"} & set(found)
    assert value_text(found).endswith(f"SI-SNR {np.mean(ratios):.2f} dB")


def test_nothing_but_silence_has_no_ratio():
    found = figures_of(Predictions(np.ones((4, 2)), np.zeros((4, 2), np.float32)), ["a", "b"])
    assert found["si_snr_db"] is None
    assert found["loss"] == 1
    assert value_text(found) == "squared error 1"
