"""`pumice export target=qonnx` as a user meets it, on a run folder and on a program file."""

from __future__ import annotations

import json
import shutil

import onnx
import pytest
from pumice.cli.main import main


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture
def run_dir(small_upto, tmp_path):
    shutil.copytree(small_upto("train", "evaluate", "quantize"), tmp_path / "run")
    return tmp_path / "run"


def test_the_folder_its_figures_and_what_is_printed(run_dir, capsys):
    assert call("export", "target=qonnx", f"run_dir={run_dir}") == 0
    out = capsys.readouterr().out
    told = json.loads((run_dir / "qonnx" / "parts.json").read_text())
    figures = json.loads((run_dir / "stages" / "export-qonnx.json").read_text())["figures"]
    assert figures["parts"] == {part["file"]: [node["node"] for node in part["nodes"]] for part in told["parts"]}
    assert figures["left_out"] == {entry["node"]: entry["why"] for entry in told["left_out"]}
    assert f"onnxruntime: 0 of {figures['compared']:,} values of the parts differ" in out
    assert figures["compared"] > 500
    for part in told["parts"]:
        assert f"{part['file']}: {part['nodes'][0]['node']}" in out
        assert (run_dir / "qonnx" / part["vectors"]).is_file()
        domains = {entry.domain for entry in onnx.load(run_dir / "qonnx" / part["file"]).opset_import}
        assert "qonnx.custom_op.general" in domains
    assert "keeps a state from event to event" in out

    settings = ["qonnx.dialect=qcdq", "qonnx.samples=1", "qonnx.events=9", "qonnx.leave_out=[Lookup]"]
    assert call("export", "target=qonnx", f"run_dir={run_dir}", "redo=[export-qonnx]", *settings) == 0
    told = json.loads((run_dir / "qonnx" / "parts.json").read_text())
    assert told["dialect"] == "qcdq"
    assert "Lookup" not in {node["type"] for part in told["parts"] for node in part["nodes"]}
    assert {path.name for path in (run_dir / "qonnx").iterdir()} == {
        "parts.json",
        *(part[kind] for part in told["parts"] for kind in ("file", "vectors")),
    }


def test_of_a_program_file(run_dir, tmp_path, capsys):
    words = [f"program={run_dir / 'program.npz'}", f"out={tmp_path / 'parts'}", "qonnx.dialect=hls4ml"]
    assert call("export", "target=qonnx", *words, "qonnx.leave_out=[Multiply]", "qonnx.wide=true") == 0
    out = capsys.readouterr().out
    assert "values of the parts differ from the program's" in out
    assert "(sums beyond float32: " in out
    told = json.loads((tmp_path / "parts" / "parts.json").read_text())
    assert {node["type"] for part in told["parts"] for node in part["nodes"]} <= {"Linear", "Add", "BatchNorm"}
    assert call("export", "target=qonnx", *words) == 2
    assert "File exists; choose another folder" in capsys.readouterr().err


def test_bad_settings_are_one_sentence(run_dir, capsys):
    for words, sentence in (
        (["qonnx.dialect=finn"], "qonnx.dialect=finn is unknown; use one of: qonnx, hls4ml, qcdq"),
        (["qonnx.leave_out=[Table]"], "qonnx.leave_out: Table is no kind of node that is written; it takes Add,"),
        (["qonnx.dialect=qcdq", "qonnx.wide=true"], "qonnx.wide=true is for tools that compute in fixed point"),
        (["qonnx.samples=0"], "qonnx.samples=0 has to be at least 1"),
    ):
        assert call("export", "target=qonnx", f"run_dir={run_dir}", *words) == 2
        error = capsys.readouterr().err
        assert sentence in error
        assert len(error.strip().splitlines()) == 1
    assert not (run_dir / "qonnx").exists()
