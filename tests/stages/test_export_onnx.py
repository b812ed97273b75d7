"""`pumice export target=onnx` as a user meets it."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from pumice.cli.main import main
from pumice.export.onnx import trial
from pumice.export.onnx.model import operations
from pumice.export.onnx.tables import token_tables
from pumice.program import load
from pumice.stages import onnx_parity

FILES = ("step", "sequence", "float", "qdq")
VERSIONS = {"step": (8, 16), "sequence": (8, 16), "float": (9, 20), "qdq": (10, 21)}


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module")
def exported(small_upto):
    """A run folder with a program of a barely trained model and its ONNX models."""
    return small_upto("train", "quantize", "export-onnx")


@pytest.fixture
def run_dir(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "run")
    return tmp_path / "run"


def test_nothing_differs_and_figures_say_so(exported):
    figures = json.loads((exported / "onnx" / "export.json").read_text())
    assert figures["sequence"]["samples"] == 40
    assert figures["sequence"]["values"] == 40 * 20
    assert figures["step"]["samples"] == 5
    assert figures["step"]["values"] > 5 * 20 * 30
    assert figures["sequence"]["differing"] == figures["step"]["differing"] == 0
    assert figures["onnxruntime"] == onnxruntime.__version__
    assert figures["opset"] == {"step": 16, "sequence": 16, "float": 20, "qdq": 21}
    assert figures["ir_version"] == {"step": 8, "sequence": 8, "float": 9, "qdq": 10}
    assert figures["qdq"]["sqnr_db"] > 20
    assert figures["float"]["largest_difference"] < 1e-3 * figures["float"]["largest_logit"]
    assert json.loads((exported / "metrics.json").read_text())["export-onnx"] == figures


def test_known_answers_are_tried_and_told_and_integers_alone_if_asked_for(run_dir, capsys):
    settings = ("export.opset=18", "export.integers=true")
    assert call("export", f"run_dir={run_dir}", "redo=[export-onnx]", *settings) == 0
    printed = capsys.readouterr().out
    for name in ("step", "sequence"):
        assert re.search(rf"{name}\.onnx in onnxruntime [\d.]+: 0 of [\d,]+ numbers differ\n", printed)
        model = onnx.load(run_dir / "onnx" / f"{name}.onnx")
        assert model.opset_import[0].version == 18
        text = onnx.printer.to_text(model)
        assert not {"float", "double"} & set(re.findall("[a-z]+", text.replace("arithmetic", "")))
    assert f"in another runtime: python {run_dir}/onnx/check.py openvino, or reference" in printed
    assert re.search(r"warning: .* get wrong: 64-bit integers of stages/\d/layers/\d/norm and \d+ more", printed)
    assert (run_dir / "onnx" / "check.py").read_bytes() == Path(trial.__file__).with_name("check.py").read_bytes()


def test_models_are_documented(exported):
    program = load(exported / "program.npz")
    for name in FILES:
        model = onnx.load(exported / "onnx" / f"{name}.onnx")
        onnx.checker.check_model(model, full_check=True)
        assert (model.ir_version, model.opset_import[0].version) == VERSIONS[name]
        assert model.doc_string
        assert all(value.doc_string for value in (*model.graph.input, *model.graph.output))
        properties = {item.key: item.value for item in model.metadata_props}
        assert json.loads(properties["class_names"]) == list(program.class_names)
        documented = [operation for operation in operations(model.graph) if operation.doc_string]
        assert len(documented) > len(list(operations(model.graph))) / 2
        if name != "float":
            assert json.loads(properties["edge_formats"])["embedding"] == str(program["embedding"].output)
            names = [operation.name for operation in operations(model.graph)]
            computed = [node.name for node in program if node.inputs]
            silent = [node for node in computed if not any(f"/{node}/" in f"/{label}" for label in names)]
            # latching and summing nodes may need no operation of their own at a rate that is read elsewhere, and what
            # tokens alone decide may be columns of what is summed
            known = token_tables(program)
            assert not [node for node in silent if not node.endswith(("/state", "_pool")) and node not in known]


def test_it_is_done_once(exported, capsys):
    before = (exported / "onnx" / "step.onnx").stat().st_mtime_ns
    assert call("export", f"run_dir={exported}") == 0
    assert "finished earlier" in capsys.readouterr().out
    assert (exported / "onnx" / "step.onnx").stat().st_mtime_ns == before


def test_it_writes_the_same_bytes_again(run_dir):
    before = {name: (run_dir / "onnx" / f"{name}.onnx").read_bytes() for name in FILES}
    assert call("export", f"run_dir={run_dir}", "redo=[export-onnx]") == 0
    for name, content in before.items():
        assert (run_dir / "onnx" / f"{name}.onnx").read_bytes() == content


def refused(capsys, *arguments):
    code = call("export", *arguments)
    error = capsys.readouterr().err
    assert error.startswith("pumice: ")
    assert error.count("\n") == 1
    return code, error


def test_unknown_target(capsys, run_dir):
    code, error = refused(capsys, f"run_dir={run_dir}", "target=abacus")
    assert code == 2
    assert "target=abacus is unknown; use one of: onnx" in error


@pytest.mark.parametrize("opset", ["15", "22", "high"])
def test_operator_sets_that_no_model_is_written_for(capsys, run_dir, opset):
    code, error = refused(capsys, f"run_dir={run_dir}", f"export.opset={opset}", "redo=[export-onnx]")
    assert code == 2
    assert "export.opset" in error
    assert "outside 16..21" in error or opset == "high"
    assert (run_dir / "onnx" / "step.onnx").exists()


def test_missing_program(capsys, run_dir):
    (run_dir / "program.npz").unlink()
    code, error = refused(capsys, f"run_dir={run_dir}")
    assert code == 2
    assert "program.npz, which does not exist" in error


def test_damaged_program(capsys, run_dir):
    content = bytearray((run_dir / "program.npz").read_bytes())
    content[len(content) // 2] ^= 255
    (run_dir / "program.npz").write_bytes(content)
    code, error = refused(capsys, f"run_dir={run_dir}", "redo=[export-onnx]")
    assert code == 2
    assert "program.npz" in error


def test_folder_that_cannot_be_made(capsys, run_dir):
    shutil.rmtree(run_dir / "onnx")
    (run_dir / "onnx").write_text("in the way")
    (run_dir / "stages" / "export-onnx.json").unlink()
    code, error = refused(capsys, f"run_dir={run_dir}")
    assert code == 2
    assert "cannot write" in error


@pytest.mark.parametrize("which", ["sequence", "step"])
def test_a_difference_ends_with_code_1(capsys, run_dir, monkeypatch, which):
    right = getattr(onnx_parity, run := {"sequence": "run_samples", "step": "run_step"}[which])

    def wrong(*arguments, **more):
        if which == "step":
            return [rows + (np.arange(len(rows)) == 7)[:, None] for rows in right(*arguments)]
        return [{"logits": found["logits"] + (np.arange(20) == 3)} for found in right(*arguments, **more)]

    monkeypatch.setattr(onnx_parity, run, wrong)
    code, error = refused(capsys, f"run_dir={run_dir}", "redo=[export-onnx]")
    assert code == 1
    assert f"{which}.onnx" in error
    assert "sample 0" in error
    assert "event 7" in error or which == "sequence"
    assert json.loads((run_dir / "stages" / "export-onnx.json").read_text())["status"] == "begun"
