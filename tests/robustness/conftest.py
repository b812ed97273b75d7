"""Whole runs on the small set: in processes that can be killed, and their comparison."""

from __future__ import annotations

import json
import shutil
import time

import pytest

TIMES = ("seconds", "events_per_s")
"""Figures that no two runs share."""


@pytest.fixture(scope="session")
def run_arguments(small_run):
    """``pumice run`` through every stage, in seconds."""
    return ["run", *small_run, "quantize.qat.epochs=1", "quantize.max_dead_zone=1", "export.step_samples=5"]


@pytest.fixture(scope="session")
def whole(start, run_arguments, tmp_path_factory):
    """The folder of an undisturbed run and how many seconds it took; copy it before changing it."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    began = time.monotonic()
    code, output = start(*run_arguments, f"run_dir={folder}").ended()
    assert code == 0, output
    return folder, time.monotonic() - began


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of the undisturbed run."""
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run"


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(entry) for key, entry in value.items() if key not in TIMES}
    return [without_times(entry) for entry in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def results():
    """What a run found: bytes of models and arrays, and all figures but the times."""

    def collect(folder):
        found = {}
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.suffix in (".safetensors", ".npz", ".onnx"):
                found[name] = path.read_bytes()
            elif path.suffix == ".json" and not name.startswith("stages/") and name != "report.json":
                found[name] = without_times(json.loads(path.read_text()))
        return found

    return collect


def is_one_sentence(text: str) -> bool:
    """Whether the last line alone is an error, and a sentence of Pumice's."""
    return text.splitlines()[-1].startswith("pumice: ") and "Traceback" not in text


@pytest.fixture(scope="session")
def check_sentence():
    """Demand exit code 2 and a sentence."""

    def check(ended, *parts):
        code, output = ended
        assert code == 2, output
        assert is_one_sentence(output), output
        assert all(part in output.splitlines()[-1] for part in parts), output

    return check
