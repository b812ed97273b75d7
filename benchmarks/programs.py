"""Models of the published sizes with random weights, their integer programs, and inputs for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pumice.configs
import torch
from omegaconf import OmegaConf
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.s5.build import build_s5
from pumice.models.s5.classifier import S5Classifier
from pumice.program import Program
from pumice.program.clock import gaps
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing
from pumice.train.pruning import entries, prunable
from torch import nn

CONFIGS = Path(pumice.configs.__file__).parent / "model"
CLASSES = 20
VOCAB = 700
TICK_US = 500
STEP_US = 1_000
SPIKE_RATE = 0.1
W8A8 = QuantizationConfig(max_dead_zone=1.0)
CLOCKED = {
    "adlif/ecg": (4, 6, 0.3),
    "adlif/shd": (140, 20, 0.05),
    "adlif/shd-small": (140, 20, 0.05),
    "adlif/tiny": (140, 20, 0.05),
    "adlif/bsd": (10, 20, 0.1),
}
"""Inputs, classes, and the share of inputs that are not 0, by network of spiking neurons."""


def settings_of(name: str) -> dict:
    """A file of configs/model/."""
    return OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))


def make_stream(events: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform tokens and times in us, about 10,000 events a second."""
    rng = np.random.default_rng(0)
    return rng.integers(0, VOCAB, events), np.cumsum(rng.exponential(100, events)).astype(np.int64)


@torch.no_grad()
def prune(model: nn.Module, zeros: float) -> None:
    """Set this share of each weight matrix to zero, the smallest weights, as ``training.sparsity`` does."""
    for weight in prunable(model).values() if zeros else ():
        size = entries(weight)
        kept = size > size.quantile(zeros)
        weight *= kept.reshape(*kept.shape, *[1] * (weight.dim() - kept.dim()))


def make_s5(
    name: str, config: QuantizationConfig = W8A8, events: int = 2_000, zeros: float = 0.0, **changes: int
) -> tuple[S5Classifier, Program]:
    """An S5 classifier with random weights, a share of them zero, its program, calibrated on ``events``; settings of
    the model may change.
    """
    model = build_s5(settings_of(name) | changes, num_classes=CLASSES, seed=0, vocab=VOCAB).eval()
    prune(model, zeros)
    tokens, times = make_stream(events)
    dt = torch.from_numpy(gaps(times, TICK_US) * (TICK_US / 1000))[None].float()
    qat = prepare(model, config, Timing(tick_ms=TICK_US / 1000))
    calibrate(qat, [Inputs(torch.from_numpy(tokens)[None], dt, torch.tensor([len(tokens)]))])
    return model, lower(qat, [str(number) for number in range(CLASSES)])


def make_network(
    name: str, steps: int, config: QuantizationConfig = W8A8, zeros: float = 0.0
) -> tuple[AdLIFNetwork, Program, np.ndarray]:
    """A network whose neurons spike at SPIKE_RATE on the inputs (steps, F) beside it, and its program; a share of its
    weights is zero.
    """
    inputs, classes, rate = CLOCKED[name]
    rng = np.random.default_rng(0)
    signs = rng.choice([-1, 1] if name == "adlif/ecg" else [1], (steps, inputs))
    values = (signs * (rng.random((steps, inputs)) < rate)).astype(np.float32)
    model = build_adlif(settings_of(name), num_classes=classes, in_features=inputs, seed=0).eval()
    prune(model, zeros)
    x = torch.from_numpy(values[None, :1_000])
    with torch.no_grad():
        for cell in model.cells:
            while cell.sequence(x)[0].mean() < SPIKE_RATE:
                cell.input.weight *= 1.05
            x = cell.sequence(x)[0]
    few = torch.from_numpy(values[None, :1_000])
    qat = prepare(model, config)
    calibrate(qat, [Inputs(few, None, torch.tensor([few.shape[1]]))])
    return model, lower(qat, [str(number) for number in range(classes)]), values
