"""Every architecture of configs/model at reduced size: lowered, simulated and exported, with the same integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pumice
import pytest
import torch
import yaml
from pumice.export.onnx import run_onnx
from pumice.hw_sim import simulator
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import FAMILIES, lower, prepare, why_unavailable
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing

NAMES = tuple("abcde")
WIDTHS = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 2, "d_state": 4, "hidden": 8}
"""What is reduced; stages, kinds and all that is chosen stay. Of equal layers two are left."""
SAID_ELSEWHERE = ("name", "recipe", "dropout", "dt_min", "dt_max", "surrogate_scale", "surrogate_slope", "convolution")


def reduced(path):
    settings = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key not in SAID_ELSEWHERE}
    small = {key: WIDTHS.get(key, value) for key, value in settings.items()}
    return small | {key: min(small[key], 2) for key in ("layers", "layers_per_stage") if key in small}


def architectures():
    """Reduced settings, each once, with the files that have them."""
    found = {}
    for path in sorted(Path(pumice.__path__[0], "configs", "model").glob("*/*.yaml")):
        found.setdefault(json.dumps(reduced(path), sort_keys=True), []).append(f"{path.parent.name}/{path.stem}")
    return {names[0]: json.loads(text) for text, names in found.items()}


ARCHITECTURES = architectures()
BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "run": lambda program, samples, trace: simulator.run(program, samples, trace=trace),
    "onnx": lambda program, samples, trace: run_onnx(program, samples, trace),
}


def events(rng):
    samples = [(rng.integers(0, 20, length), np.cumsum(500 * rng.integers(0, 4, length))) for length in (40, 29, 3)]
    tokens, dt = torch.full((3, 40), -1), torch.zeros(3, 40)
    for row, (values, times) in enumerate(samples):
        tokens[row, : len(times)] = torch.from_numpy(values)
        dt[row, : len(times)] = torch.from_numpy(np.diff(times, prepend=times[:1]) / 1000)
    return samples, Inputs(tokens, dt, torch.tensor([40, 29, 3]))


def sequences(rng):
    values = rng.normal(size=(3, 24, 4)).astype(np.float32) * 2
    lengths = (24, 17, 1)
    samples = [(row[:length], 1000 * np.arange(length)) for row, length in zip(values, lengths, strict=True)]
    return samples, Inputs(torch.from_numpy(values), None, torch.tensor(lengths))


def model_of(family, settings):
    width = {"vocab": 20} if family.reads == "events" else {"in_features": 4}
    model = family.build({**settings, "dropout": 0.0}, num_classes=5, seed=0, **width).eval()
    with torch.no_grad():  # away from what is special at the start
        for parameter in model.parameters():
            parameter.mul_(1 + 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_lowered_simulated_and_exported(name):
    settings = ARCHITECTURES[name]
    family = FAMILIES[settings["family"]]
    reason = why_unavailable({"model": settings, "quantize": {}, "task": {}})
    if reason is not None:
        assert settings.get("bidirectional") or settings.get("cell") == "lstm", reason
        return
    samples, batch = (events if family.reads == "events" else sequences)(np.random.default_rng(0))
    timing = Timing(tick_ms=0.5) if family.reads == "events" else Timing()
    config = QuantizationConfig(max_dead_zone=1.0)
    qat = calibrate(prepare(model_of(family, settings), config, timing), [batch]).eval()
    program = lower(qat, NAMES)
    for verdict in compare(program, samples, BACKENDS, traced=len(samples)).verdicts:
        assert verdict.differing == 0, verdict.first
        assert verdict.states[0] == verdict.states[1] > 0


def test_every_published_family_is_among_them():
    families = {settings["family"] for settings in ARCHITECTURES.values()}
    assert families == {family.name for family in FAMILIES.values()} - {"loihi"}
    assert len(ARCHITECTURES) > 20
