"""The stage on a task labelled step by step: figures by both protocols, fine-tuning, refusals by name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from pumice.cli.main import main
from pumice.program import digest, load, reference
from pumice.quantize.adlif.frozen import FrozenAdLIF
from pumice.quantize.adlif.model import QuantAdLIF
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import family_of, prepare
from pumice.quantize.qat import calibrate
from pumice.quantize.tuning import FamilyTuning
from pumice.quantize.weights import load_frozen
from pumice.stages import quantize as stage
from pumice.stages import train as stage_train
from pumice.stages.build import build_data, build_model
from pumice.stages.folder import RunFolder
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from pumice.train.weights import load_weights


@pytest.fixture(scope="module")
def config(small_ecg_run, compose_config):
    overrides = ["training.epochs=4", "model.dropout=0.1", "quantize.qat.epochs=2", "logging.csv=false"]
    return compose_config([*small_ecg_run, *overrides])


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained-ecg")
    stage_train.run(config, RunFolder(folder, config))
    return folder


@pytest.fixture(scope="module")
def quantized(config, trained, tmp_path_factory):
    """A run folder after the stage, and its figures."""
    folder = tmp_path_factory.mktemp("quantized-ecg")
    shutil.copy(trained / "weights.safetensors", folder)
    assert stage.unavailable(config) is None
    stage.check(config)
    return folder, stage.run(config, RunFolder(folder, config))


def data_of(config):
    return build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())


def qat_of(config, trained, **settings):
    data = data_of(config)
    model = build_model(config, data)
    load_weights(trained / "weights.safetensors", model)
    section = {**config["quantize"], **settings}
    qat = prepare(model, QuantizationConfig.from_mapping(section))
    return calibrate(qat, (batch.padded() for batch in data.batches("train"))), data


def test_the_stage_writes_a_program_that_the_frozen_model_agrees_with(config, quantized):
    folder, figures = quantized
    program = load(folder / "program.npz")
    assert figures["program_digest"] == digest(program)
    assert program.provenance["method"] == figures["chosen"]
    assert program.provenance["config"]["model"]["aggregation"] == "mean"
    frozen, _ = load_frozen(folder / "quantized.safetensors")
    assert isinstance(frozen, FrozenAdLIF)
    batch = next(data_of(config).batches("test", batch_size=20))
    samples = [(row.numpy(), 4000 * np.arange(len(row))) for row in batch.inputs]
    series = np.stack([trace.series for trace in reference.run(program, samples, trace=False)])
    assert (frozen.trace(batch.padded())[1]["readout"].numpy() == series).all()
    labels = batch.targets[:, 1:].numpy()  # every step is a block of its own
    accuracy = (series.argmax(2) == labels).mean()
    assert accuracy == pytest.approx(figures[figures["chosen"]]["test"]["accuracy"])


def test_the_stage_reports_both_protocols(config, quantized):
    folder, figures = quantized
    assert {"float", "ptq", "qat"} <= set(figures)
    steps = figures["float"]["test"]["samples"]
    for name in ("float", figures["chosen"]):
        assert figures[name]["other_protocols"]["labelled steps"]["test"]["samples"] < steps
    for name in ("ptq", "qat"):
        test = figures[name]["test"]
        gained = test["only_integer_right"] - test["only_float_right"]
        assert test["correct"] - figures["float"]["test"]["correct"] == gained
    assert figures["ptq"]["test"]["sqnr_db"] > 10
    json.dumps(figures, allow_nan=False)
    report = json.loads((folder / "lowering.json").read_text())
    assert report["program"] == figures["program_digest"]
    assert [entry["layer"] for entry in report["layers"]] == ["cells.0", "cells.1", "readout"]


def test_float_values_stand_beside_every_node(config, quantized, trained):
    folder, _ = quantized
    program, data = load(folder / "program.npz"), data_of(config)
    model = build_model(config, data)
    load_weights(trained / "weights.safetensors", model)
    batch = next(data.batches("test", batch_size=1))
    inputs = batch.inputs.double()
    values = family_of(model).float_values(model, program, batch.padded())
    (trace,) = reference.run(program, [(inputs[0].numpy(), 4000 * np.arange(inputs.shape[1]))])
    for node in program:
        assert values[node.name].shape[1] == trace.values[node.name].shape[1]
        if node.state_fracs.size:
            state = values[f"{node.name}:state"]
            assert state.shape == trace.states[node.name].shape
            assert np.abs(trace.states[node.name][0] * 2.0**-node.state_fracs - state[0]).max() < 0.1


def test_interrupted_fine_tuning_ends_with_the_same_weights(config, trained, check_interruption):
    tuning = FamilyTuning(epochs=2, lr=0.1, freeze_scales_at=0.3)
    check_interruption(lambda: qat_of(config, trained), config, tuning)


def test_calibration_on_fewer_samples(config, trained, monkeypatch):
    seen = []
    original = QuantAdLIF.observe

    def observe(self, observer, batch):
        seen.append(len(batch.lengths))
        original(self, observer, batch)

    monkeypatch.setattr(QuantAdLIF, "observe", observe)
    qat_of(config, trained, calibration={"samples": 10})
    assert sum(seen) == 10


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["task=oscillation", "model=adlif/oscillation", "training=adlif-oscillation"], "task oscillation feeds"),
        (["task=bsd", "model=adlif/bsd", "model.cell=lstm", "training=adlif-bsd"], "model.cell=lstm has no spiking"),
    ],
)
def test_what_cannot_be_quantized_is_said(overrides, part, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["quantize", *overrides, f"run_dir={tmp_path / 'run'}"])
    assert ended.value.code == 2
    assert part in capsys.readouterr().err


def test_settings_of_fine_tuning_by_family():
    section = {"epochs": None, "lr": 0.5, "families": {"adlif": {"epochs": 7, "lr": 0.2}}}
    qat = QuantizationConfig.from_mapping({"qat": section}).qat
    assert (qat.of("adlif").epochs, qat.of("adlif").lr, qat.of("adlif").freeze_scales_at) == (7, 0.5, 0.0)
    assert (qat.of("s5").epochs, qat.of("s5").lr) == (3, 0.5)
    assert QuantizationConfig.from_mapping({"qat": {**section, "epochs": 0}}).qat.of("adlif").epochs == 0
