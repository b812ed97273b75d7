"""Calibration and fine-tuning on a data set, and the stage as a whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from pumice.errors import PumiceError
from pumice.program import digest, load, reference
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import prepare
from pumice.quantize.qat import calibrate
from pumice.quantize.s5.model import tick_ms_of
from pumice.quantize.tuning import FamilyTuning
from pumice.quantize.weights import load_frozen
from pumice.stages import quantize as stage
from pumice.stages import train as stage_train
from pumice.stages.build import build_data, build_model
from pumice.stages.folder import RunFolder
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from pumice.train.weights import load_weights


@pytest.fixture(scope="module")
def config(small_run, compose_config):
    overrides = ["quantize.qat.epochs=2", "logging.csv=false", "logging.progress=false"]
    return compose_config([*small_run, *overrides])


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    stage_train.run(config, RunFolder(folder, config))
    return folder


@pytest.fixture(scope="module")
def quantized(config, trained, tmp_path_factory):
    """A run folder after the stage, and its figures."""
    folder = tmp_path_factory.mktemp("quantized")
    shutil.copy(trained / "weights.safetensors", folder)
    stage.check(config)
    return folder, stage.run(config, RunFolder(folder, config))


def qat_of(config, trained, **settings):
    data = build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())
    model = build_model(config, data)
    load_weights(trained / "weights.safetensors", model)
    section = {**config["quantize"], **settings}
    return prepare(model, QuantizationConfig.from_mapping(section), data.timing), data


def test_the_stage_writes_a_program_that_the_frozen_model_agrees_with(config, quantized):
    folder, figures = quantized
    program = load(folder / "program.npz")
    assert figures["program_digest"] == digest(program)
    assert program.provenance["method"] == figures["chosen"]
    assert len(program.class_names) == 20
    frozen, _ = load_frozen(folder / "quantized.safetensors")
    data = build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())
    scale = 2.0 ** -program[program.logits].output.frac
    rows = []
    for batch in data.batches("test"):
        rows.append(frozen(batch.tokens, batch.dt, batch.lengths, batch.pool_dt))
    raw = [(events["x"].astype(np.int64), events["t"]) for events, _ in data.test_dataset]
    expected = np.stack([trace.logits for trace in reference.run(program, raw, trace=False)])
    assert (torch.cat(rows).numpy() == expected * scale).all()
    labels = np.array([label for _, label in data.test_dataset])
    assert (expected.argmax(1) == labels).mean() == pytest.approx(figures[figures["chosen"]]["test"]["accuracy"])


def test_the_stage_reports(quantized):
    folder, figures = quantized
    assert {"float", "ptq", "qat"} <= set(figures)
    assert figures["ptq"]["test"]["sqnr_db"] > 20
    for name in ("ptq", "qat"):
        test = figures[name]["test"]
        gained = test["only_integer_right"] - test["only_float_right"]
        assert test["correct"] - figures["float"]["test"]["correct"] == gained
    json.dumps(figures, allow_nan=False)
    report = json.loads((folder / "lowering.json").read_text())
    assert report["program"] == figures["program_digest"]
    assert len(report["layers"]) == 4


def test_the_epoch_is_kept_whose_logits_are_nearest_on_validation(config, trained, tune):
    qat, data = qat_of(config, trained, widths={"gate": 2, "input": 3})
    calibrate(qat, (batch.padded() for batch in data.batches("train")))
    best = tune(qat, data, config, FamilyTuning(epochs=3, lr=0.1, freeze_scales_at=0.5))
    assert bool(qat.scales_frozen)
    ours, theirs = (torch.log_softmax(x, 1) for x in (said_by(qat, data, "validation"), floats_of(config, trained)))
    assert best["kl"] == pytest.approx(float((theirs.exp() * (theirs - ours)).sum(1).mean()), rel=1e-3)


def said_by(model, data, split):
    with torch.no_grad():
        return torch.cat([batch.apply(model.eval())[0] for batch in data.batches(split)])


def floats_of(config, trained):
    """The float model's logits of validation."""
    qat, data = qat_of(config, trained)
    return said_by(qat.model, data, "validation")


def test_interrupted_fine_tuning_ends_with_the_same_weights(config, trained, check_interruption):
    def calibrated():
        qat, data = qat_of(config, trained)
        return calibrate(qat, (batch.padded() for batch in data.batches("train"))), data

    check_interruption(calibrated, config, FamilyTuning(epochs=2, lr=0.1, freeze_scales_at=0.3))


def test_calibration_on_fewer_samples(config, trained):
    qat, data = qat_of(config, trained, calibration={"samples": 3})
    seen = []
    original = qat.model.decoder.forward
    qat.model.decoder.forward = lambda x: (seen.append(len(x)), original(x))[1]
    calibrate(qat, (batch.padded() for batch in data.batches("train")))
    assert sum(seen) == 3


@pytest.mark.parametrize(
    ("configured", "task", "expected"), [(None, 0.5, 0.5), (None, None, 0.5), (0.25, None, 0.25), (1, 1.0, 1.0)]
)
def test_the_tick_is_that_of_the_task(configured, task, expected):
    assert tick_ms_of(QuantizationConfig(tick_ms=configured), task) == expected


def test_another_tick_than_the_task_s_is_refused():
    with pytest.raises(PumiceError, match="twice"):
        tick_ms_of(QuantizationConfig(tick_ms=1.0), 0.5)


@pytest.mark.parametrize("preset", ["w8a8", "w4a8", "w2a8", "w4a8-all", "w4a4"])
def test_presets_are_valid(preset):
    path = Path(stage.__file__).parent.parent / "configs" / "quantize" / f"{preset}.yaml"
    config = QuantizationConfig.from_mapping(OmegaConf.to_container(OmegaConf.load(path)))
    assert config.name == preset
    assert config.widths.gate == config.widths.synapses == int(preset[1])
    assert config.qat.of("s5").epochs == (6 if preset == "w4a8-all" else 3)
    every_weight = preset in ("w4a8-all", "w4a4")
    weights = ("embedding", "input", "output", "feedthrough", "decoder")
    assert {getattr(config.widths, name) for name in weights} == ({4} if every_weight else {8, 12})
    assert config.widths.activation == int(preset[3])
