"""``pumice sensitivity``: every entry is what quantizing that tensor alone gives; what is done is kept."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from pumice.api.bench import Bench
from pumice.cli.main import main
from pumice.files import read_json, write_json
from pumice.program import load, reference
from pumice.stages import sensitivity
from pumice.stages.build import build_data
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from runs import LOOKED_AT
from safetensors.numpy import load_file

LAYER = "stages.0.layers.0"
GATE = f"{LAYER}.gate"


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def trained(small_upto):
    return small_upto("train", "evaluate")


@pytest.fixture(scope="module")
def found(small_looked):
    return read_json(small_looked / "sensitivity.json")


@pytest.fixture(scope="module")
def by_hand(small_looked, found, tmp_path_factory):
    """What `pumice quantize` makes of the settings of all tensors as they are, and of the gate's lowered alone."""

    def quantized(*words):
        folder = tmp_path_factory.mktemp("by-hand") / "run"
        shutil.copytree(small_looked, folder)
        fixed = ["quantize.calibration.samples=20", f"quantize.calibration.method={found['base']['method']}"]
        assert call("quantize", f"run_dir={folder}", *fixed, "quantize.qat.epochs=0", *words) == 0
        return folder

    return quantized(), quantized(f"quantize.layers={{{LAYER}: {{gate: 4}}}}")


def entry_of(found, place, bits):
    return next(entry for entry in found["entries"] if (entry["place"], entry["to"]) == (place, bits))


def test_an_entry_is_the_program_that_quantizing_by_its_setting_gives(found, by_hand):
    for figures, folder in zip((found["base"], entry_of(found, GATE, 4)), by_hand, strict=True):
        assert read_json(folder / "metrics.json")["quantize"]["program_digest"] == figures["program"]


def test_an_entry_lowers_one_tensor_as_a_hand_would(found, by_hand, trained):
    base, lowered = (load(folder / "program.npz") for folder in by_hand)
    weights = load_file(trained / "weights.safetensors")[f"{GATE}.weight"].astype(np.float64)
    method, changed = found["base"]["method"], []
    for before, after in zip(base, lowered, strict=True):
        assert before.name == after.name
        same = [np.array_equal(a.codes, b.codes) for a, b in zip(before.tensors(), after.tensors(), strict=True)]
        changed += [] if all(same) else [before.name]
    assert changed == [f"{LAYER.replace('.', '/')}/gate", "decoder"]  # whose bias takes the mean error
    np.testing.assert_array_equal(base["decoder"].weights[0], lowered["decoder"].weights[0])
    codes = lowered[changed[0]].tensors()[0].codes
    assert np.abs(codes).max() <= 7
    for row, got in zip(weights, codes, strict=True):
        tried = {}
        for frac in range(-4, 24):
            own = np.clip(np.floor(row * 2.0**frac + 0.5), -7, 7)
            clips = np.abs(np.floor(np.abs(row) * 2.0**frac + 0.5)).max() > 7
            tried[frac] = (clips if method == "max" else 0, ((own * 2.0**-frac - row) ** 2).sum(), own)
        best = min((clips, error) for clips, error, _ in tried.values())
        assert any(np.array_equal(got, own) for *key, own in tried.values() if tuple(key) == best)


def test_figures_of_an_entry_are_those_of_its_program(found, by_hand, small_looked):
    with np.load(small_looked / "predictions.npz") as arrays:
        floats, labels = arrays["validation_logits"].astype(np.float64), arrays["validation_labels"]
    config = OmegaConf.to_container(OmegaConf.load(small_looked / "config.yaml"))
    data = build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())
    samples = data.program_samples("validation")
    for figures, folder in zip((found["base"], entry_of(found, GATE, 4)), by_hand, strict=True):
        program = load(folder / "program.npz")
        traces = reference.run(program, samples)
        logits = np.stack([trace.logits for trace in traces]) * program[program.logits].output.scale
        assert figures["decisions"] == len(labels)
        assert figures["correct"] == (logits.argmax(1) == labels).sum()
        assert figures["same_class"] == (logits.argmax(1) == floats.argmax(1)).sum()
        ratio = 10 * np.log10((floats**2).sum() / ((logits - floats) ** 2).sum())
        assert figures["sqnr_db"] == pytest.approx(ratio, abs=0.02)
        shares = [np.exp(x - x.max(1, keepdims=True)) for x in (floats, logits)]
        p, q = (share / share.sum(1, keepdims=True) for share in shares)
        assert figures["kl"] == pytest.approx((p * np.log(p / q)).sum(1).mean(), rel=1e-4)
        assert figures["parameter_bits"] == sum(tensor.bits for node in program for tensor in node.tensors())
    saved = entry_of(found, GATE, 4)["saved_parameter_bits"]
    assert saved == 4 * load_file(small_looked / "weights.safetensors")[f"{GATE}.weight"].size


def test_every_tensor_has_its_entries_and_no_other_has(found):
    tensors = {entry["place"] for entry in found["entries"]}
    assert {"embedding", "decoder", f"{LAYER}.input", f"{LAYER}.output", f"{LAYER}.feedthrough", GATE} <= tensors
    assert not any("skip" in place or "synapses" in place for place in tensors)  # this model has none
    graphs = [entry["graph"] for entry in found["entries"] if entry["refused"] is None]
    assert found["base"]["graph"] not in graphs
    assert len(set(graphs)) == len(graphs)
    divergences = [entry["kl"] for entry in found["entries"] if entry["refused"] is None]
    assert divergences == sorted(divergences)
    state = entry_of(found, f"{LAYER}.state", 8)
    assert state["changes"] == {"layers": {LAYER: {"state": 8, "read": 8}}}
    assert state["refused"] or state["saved_state_bits"] > 0
    assert len({entry["correct"] for entry in found["entries"] if entry["refused"] is None}) > 1


@pytest.mark.thorough
def test_what_is_done_is_kept(small_looked, trained, found, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    measure, measured = Bench.measure, []

    def interrupted(bench, settings):
        if len(measured) == 5:
            raise KeyboardInterrupt
        measured.append(settings)
        return measure(bench, settings)

    monkeypatch.setattr(Bench, "measure", interrupted)
    assert call("sensitivity", f"run_dir={folder}", *LOOKED_AT) == 130
    assert not (folder / "sensitivity.json").exists()
    kept = read_json(folder / sensitivity.DONE)
    assert len(kept) == 5
    monkeypatch.setattr(Bench, "measure", lambda bench, settings: measured.append(settings) or measure(bench, settings))
    assert call("sensitivity", f"run_dir={folder}") == 0
    assert len(measured) > len(kept)
    told = [json.dumps(settings, sort_keys=True) for settings in measured]
    assert len(told) == len(set(told))  # none of them twice
    assert read_json(folder / "sensitivity.json") == found
    assert call("sensitivity", f"run_dir={folder}") == 0
    assert len(measured) == len(told)


@pytest.mark.thorough
def test_damaged_work_is_refused(small_looked, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(small_looked, folder)
    (folder / "sensitivity.json").unlink()
    base = read_json(small_looked / sensitivity.DONE)["base"]
    for damage in ({"base": {**base, "kl": "a lot"}}, {"base": 3}, [1], {"of nothing": base}, {"base": {"size": 1}}):
        write_json(folder / sensitivity.DONE, damage)
        assert call("sensitivity", f"run_dir={folder}") == 2
        assert "is damaged; do the stage anew with redo=[sensitivity]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sensitivity.weights=[0]"], "sensitivity.weights has 0 bits"),
        (["sensitivity.weights=[]", "sensitivity.states=[]"], "sensitivity lowers nothing"),
        (["sensitivity.samples=0"], "samples=0 has to be at least 1"),
        (["sensitivity.widths=3"], "sensitivity.widths"),
        (["sensitivity.weights=[16]", "sensitivity.states=[]"], "no tensor of this model is wider"),
        (["system.jobs=0"], "system.jobs=0 has to be at least 1"),
    ],
)
def test_refusals(trained, tmp_path, capsys, words, told):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    assert call("sensitivity", f"run_dir={folder}", *LOOKED_AT, *words) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "sensitivity.json").exists()


def test_a_folder_without_weights_is_refused(tmp_path, small_run, capsys):
    assert call("sensitivity", f"run_dir={tmp_path / 'none'}", *small_run) == 2
    assert "'sensitivity' needs" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_report_shows_the_table_and_the_heat_map(small_looked, found, tmp_path, check_page, read_page):
    folder = tmp_path / "run"
    shutil.copytree(small_looked, folder)
    assert call("report", f"run_dir={folder}") == 0
    text = (folder / "report.html").read_text()
    check_page(text)
    page = read_page(folder / "report.html")
    gate = entry_of(found, GATE, 4)
    assert f"{gate['sqnr_db']:.1f} dB" in text
    assert "What each width is worth" in text
    with (folder / "report" / "sensitivity.csv").open() as file:
        rows = {(row["place"], row["to"]): row for row in csv.DictReader(file)}
    assert len(rows) == len(found["entries"])
    row = rows[GATE, "4"]
    assert float(row["sqnr_db"]) == gate["sqnr_db"]
    assert float(row["saved_bytes"]) == gate["saved_parameter_bits"] / 8
    assert float(row["correct"]) == gate["correct"] / gate["decisions"]
    assert page is not None


@pytest.mark.slow
def test_processes_share_the_work(trained, found, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    assert call("sensitivity", f"run_dir={folder}", *LOOKED_AT, "system.jobs=2") == 0
    assert read_json(folder / "sensitivity.json") == found


@pytest.mark.slow
def test_networks_of_neurons_have_their_widths_looked_at(small_ecg_run, tmp_path):
    folder = tmp_path / "run"
    words = [*small_ecg_run, "training.epochs=1", "quantize.max_dead_zone=1", f"run_dir={folder}"]
    assert call("train", *words) == 0
    few = ["sensitivity.weights=[4]", "sensitivity.constants=[12]", "sensitivity.activations=[8]", "system.jobs=1"]
    assert call("sensitivity", *words, *few, "sensitivity.states=[12]", "sensitivity.samples=20") == 0
    found = read_json(folder / "sensitivity.json")
    places = {entry["place"] for entry in found["entries"]}
    assert {"cells.0.synapses", "cells.0.potential", "cells.0.adaptation", "readout.decoder"} <= places
    saved = {entry["place"]: entry["saved_parameter_bits"] for entry in found["entries"] if entry["refused"] is None}
    assert saved["readout.decoder"] >= 8 * 8 * 6  # of 8 neurons and 6 classes, 8 bits less each; biases besides
