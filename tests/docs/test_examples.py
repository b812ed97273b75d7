"""The scripts of examples/ do what they say, each in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pumice
import pytest

EXAMPLES = Path(pumice.__file__).parent / "examples"
WITHOUT_PUMICE = "import sys; sys.modules['pumice'] = None; sys.argv = sys.argv[1:]; import runpy; "
WITHOUT_PUMICE += "runpy.run_path(sys.argv[0], run_name='__main__')"


def run(folder, *words, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    code, out, err = run(folder, EXAMPLES / "own_events.py")
    assert code == 0, err
    return folder, out


@pytest.mark.thorough
def test_events_of_your_own(sweeps):
    folder, out = sweeps
    assert float(re.match(r"([\d.]+)% of 90 recordings", out)[1]) > 75  # three classes: chance is 33
    assert "0 values differ between reference, twin, run, onnx" in out
    assert pumice.load(folder / "sweeps/program.npz").class_names == ("up", "down", "still")


@pytest.mark.thorough
def test_a_host_without_pumice_says_the_same_after_every_event(sweeps):
    folder, out = sweeps
    words = ["-c", WITHOUT_PUMICE, EXAMPLES / "onnx_host.py", "sweeps/step.onnx", "sweeps/recording.npy"]
    code, told, err = run(folder, *words)
    assert code == 0, err
    times, channels = np.load(folder / "sweeps/recording.npy").T
    program = pumice.load(folder / "sweeps/program.npz")
    stream, expected, before = pumice.Simulator(program), [], None
    for channel, time_us in zip(channels, times, strict=True):
        logits, _ = stream.step(channel, time_us)
        name = program.class_names[int(logits.argmax())]
        if name != before:
            score = logits.max() * program[program.logits].output.scale
            expected.append(f"{time_us / 1000:9.3f} ms  {name}  {score:.3f}")
        before = name
    assert told.splitlines() == expected
    assert before == re.search(r"after the last event: (.*)", out)[1]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rows", "sentence"),
    [([[0, 32]], "token 32 lies outside 0 to 31"), ([[9000, 1], [0, 1]], "the event at 0 us comes after a later one")],
)
def test_the_host_refuses_what_cannot_be(sweeps, tmp_path, rows, sentence):
    folder, _ = sweeps
    np.save(tmp_path / "wrong.npy", np.array(rows))
    code, _, err = run(folder, EXAMPLES / "onnx_host.py", "sweeps/step.onnx", tmp_path / "wrong.npy")
    assert code == 1
    assert err.startswith(sentence)


@pytest.mark.thorough
def test_a_checkpoint_of_your_own(tmp_path):
    code, out, err = run(tmp_path, EXAMPLES / "own_checkpoint.py")
    assert code == 0, err
    assert float(re.match(r"([\d.]+)% of 100 recordings", out)[1]) > 50  # eight classes: chance is 12
    assert "0 values differ between reference, run, onnx" in out
    assert {path.name for path in (tmp_path / "counting").iterdir()} == {"program.npz", "sequence.onnx"}


def test_the_page_names_every_script():
    named = re.findall(r"^\| \[(\w+\.py)\]", (EXAMPLES / "README.md").read_text(), flags=re.M)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))
