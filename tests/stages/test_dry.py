"""--dry-run says what then happens, and does nothing."""

import shutil

import pytest
from pumice.cli.main import main


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        told = dict(line.strip().split(maxsplit=1) for line in out.splitlines() if line.startswith("  "))
        return ended.value.code, told, out + err

    return run


def everything(folder):
    return {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns) for path in folder.rglob("*")
    }


def test_of_a_new_folder_everything_runs_and_nothing_is_written(call, small_run, tmp_path):
    code, told, out = call("run", *small_run, "run_dir=new", "--dry-run")
    assert code == 0
    assert out.splitlines()[-len(told) - 1] == "in new:"
    assert list(told)[:3] == ["train", "evaluate", "quantize"]
    assert set(told.values()) == {"runs"}
    code, _, out = call("run", "--dry-run", "-m", *small_run, "seed=1,2")
    assert out.count("in runs/multirun/seed-") == 2
    assert not list(tmp_path.iterdir())


def test_of_a_folder_at_work_each_stage_is_told(call, small_upto, tmp_path):
    shutil.copytree(small_upto("train", "evaluate", "quantize"), tmp_path / "run")
    before = everything(tmp_path)
    _, told, _ = call("run", "run_dir=run", "--dry-run")
    assert [told[name] for name in ("train", "evaluate", "quantize", "simulate")] == ["finished earlier"] * 3 + ["runs"]
    _, told, _ = call("run", "run_dir=run", "redo=[evaluate]", "--dry-run")
    assert [told[name] for name in ("train", "evaluate", "quantize")] == ["finished earlier", *["is done anew"] * 2]
    _, told, _ = call("export", "target=lava", "run_dir=run", "--dry-run")
    assert told == {"export-lava": "runs"}
    assert everything(tmp_path) == before
    record = tmp_path / "run/stages/quantize.json"
    record.write_text(record.read_text().replace('"finished"', '"begun"'))
    _, told, _ = call("quantize", "run_dir=run", "--dry-run")
    assert told == {"quantize": "goes on where it was interrupted"}


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["quantize", "--dry-run"], "needs "),
        (["train", "model.d_model=-1", "--dry-run"], "d_model"),
        (["doctor", "--dry-run"], "'doctor' has none"),
    ],
)
def test_what_would_be_refused_is_refused(call, arguments, part):
    code, told, text = call(*arguments)
    assert (code, told) == (2, {})
    assert part in text


def test_other_settings_than_the_folder_s(call, small_upto, tmp_path):
    shutil.copytree(small_upto("train"), tmp_path / "run")
    code, _, text = call("train", "run_dir=run", "training.epochs=9", "--dry-run")
    assert code == 2
    assert "training.epochs" in text
