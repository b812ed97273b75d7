"""Run folders and programs that were written before the rooms were put in order: they open and mean the same."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pumice
import pytest
import torch
from pumice.cli.main import main
from pumice.program import digest
from pumice.records import versions
from pumice.train.evaluate import predict

GOLDEN = Path(__file__).parents[1] / "golden" / "runs"
THEN = [  # of the preset when the folders were made
    "quantize.calibration.bias=null",
    "quantize.calibration.method=mse",
    "~quantize.qat.families.spikingssm={epochs: 1}",
    "+quantize.qat.families.adlif.epochs=10",
    "+quantize.qat.families.adlif.lr=0.1",
    "+quantize.qat.families.adlif.freeze_scales_at=0.67",
    "+quantize.qat.families.s5={epochs: 1, lr: 0.1, freeze_scales_at: 0.67}",
]
DIGESTS = {
    "s5": "cd1521a4b2f0a07d48b5dd97440d12b99893aee2528bcc1805499d0108e29fb2",
    "adlif": "da99a1e309f456abff5cd5d27ccf39e70a1fbd8d9bea2328d102263dde648f00",
}


@pytest.fixture(scope="module", params=sorted(DIGESTS))
def kept(request, tmp_path_factory):
    """Name and folder of a run that trained one epoch of a tiny model and quantized it; copy it before changing it."""
    folder = tmp_path_factory.mktemp("golden") / request.param
    with tarfile.open(GOLDEN / f"{request.param}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return request.param, folder


@pytest.fixture
def copied(kept, tmp_path):
    shutil.copytree(kept[1], tmp_path / "run")
    return kept[0], tmp_path / "run"


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def test_a_run_folder_of_before_opens(kept):
    name, folder = kept
    run = pumice.open_run(folder)
    assert run.finished == ["evaluate", "quantize", "train"]
    assert run.config["model"]["family"] == name
    assert run.metrics["quantize"]["program_digest"] == DIGESTS[name] == digest(run.program)
    assert run.stages["train"].figures["epochs"] == 1
    assert run.report is None
    assert set(run.predictions) == {"validation", "test"}
    assert run.predictions["test"].logits.shape == (400, 20)
    assert repr(run).endswith("finished: evaluate, quantize, train)")


def test_its_float_model_says_what_it_said(kept):
    run = pumice.open_run(kept[1])
    data = pumice.load_data(run.config["task"])
    found = predict(run.model, [next(iter(data.batches("test", 20)))])
    np.testing.assert_array_equal(found.labels, run.predictions["test"].labels[:20])
    np.testing.assert_allclose(found.logits, run.predictions["test"].logits[:20], rtol=1e-3, atol=1e-4)


def test_its_program_and_its_frozen_model_agree_as_before(kept):
    run = pumice.open_run(kept[1])
    samples = pumice.load_data(run.config["task"]).program_samples("test")[:6]
    found = pumice.compare(run.program, samples, ["reference", "twin", "run", "onnx"], frozen=run.frozen, traced=2)
    assert found.differing == 0


def test_inspect_and_report_read_it(copied, capsys):
    name, folder = copied
    assert call("inspect", str(folder / "program.npz"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["digest"] == DIGESTS[name]
    assert call("report", f"run_dir={folder}", *THEN) == 0
    report = json.loads((folder / "report.json").read_text())
    assert report["provenance"]["program_digest"] == DIGESTS[name]
    assert (
        report["stages"]["quantize"]["seconds"] == json.loads((folder / "stages/quantize.json").read_text())["seconds"]
    )
    assert report["stages"]["simulate"] is None
    assert pumice.open_run(folder).report == folder / "report.html"


def test_finished_stages_are_not_repeated(copied, capsys):
    _, folder = copied
    assert call("quantize", f"run_dir={folder}", *THEN) == 0
    assert "quantize: finished earlier" in capsys.readouterr().out


def test_quantizing_anew_gives_the_very_same_program(copied, monkeypatch):
    """The same seed and package versions give the same bits; the machine's threads do not matter."""
    name, folder = copied
    run = pumice.open_run(folder)
    if run.metrics["quantize"]["chosen"] != "ptq":
        pytest.skip("fine-tuning takes other steps since then; that it repeats itself is tested in tests/api")
    before = run.program
    if before.provenance["versions"] != {**versions(), "pumice": before.provenance["versions"]["pumice"]}:
        pytest.skip("fine-tuning in other versions of the packages ends with other weights")
    threads = torch.get_num_threads()
    assert call("quantize", f"run_dir={folder}", *THEN, "quantize.qat.epochs=0", "redo=[quantize]") == 0
    torch.set_num_threads(threads)
    after = pumice.load(folder / "program.npz")
    after = replace(after, provenance=before.provenance, step_us=before.step_us)  # steps had no length then
    assert digest(after) == DIGESTS[name]
