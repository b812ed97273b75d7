"""Whole runs on the small set: in processes that can be killed, and their comparison."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TIMES = ("seconds", "events_per_s")
"""Figures that no two runs share."""
PRELOADED = ["pumice.cli.run", *(f"pumice.stages.{name}" for name in ("simulate", "export_onnx", "count", "report"))]
CHILD = """
import os, resource, signal
output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.dup2(output, 1)
os.dup2(output, 2)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
if crash_at is not None:  # kill -9 just before, or just after, the file number crash_at gets its name
    seen, replace = 0, os.replace
    def crashing(*arguments, **options):
        global seen
        seen += 1
        if seen == crash_at[0] and not crash_at[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*arguments, **options)
        if seen == crash_at[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    os.replace = crashing
if largest is not None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
from pumice.cli.main import main
main(arguments)
"""


@dataclass
class Started:
    """A command in a process of its own."""

    process: Any
    log: Path

    def ended(self) -> tuple[int, str]:
        """Exit code (negative: the signal) and all that was printed."""
        self.process.join(500)
        assert self.process.exitcode is not None, "it does not end"
        return self.process.exitcode, self.log.read_text()


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Start ``pumice`` with arguments in a process of its own, forked from one that has torch loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    logs, started = tmp_path_factory.mktemp("logs"), []

    def call(*arguments, crash_at=None, largest=None):
        log = logs / f"{len(started)}.txt"
        names = {"arguments": arguments, "log": str(log), "crash_at": crash_at, "largest": largest}
        process = context.Process(target=exec, args=(CHILD, names))
        process.start()
        started.append(process)
        return Started(process, log)

    yield call
    for process in started:
        process.kill()
        process.join()


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
