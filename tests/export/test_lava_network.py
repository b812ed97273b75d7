"""Programs in Lava itself, in its own interpreter, against the reference. Skipped only where no Python 3.10 is had."""

import os
import subprocess

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.lava import run_bundle, run_lava, write_bundle
from pumice.export.lava.environment import SETTING, ensure_environment, find_python
from pumice.export.lava.runtime.flags import VALID
from pumice.export.lava.runtime.wiring import wire
from pumice.hw_sim import reference
from pumice.hw_sim.compare import compare
from pumice.hw_sim.random_programs import random_program, random_sample
from pumice.quantize.program.nodes import DiagonalSSM

LAYER = {"stages": 1, "layers": 1, "pairing": "causal", "state_width": 16}


@pytest.fixture(scope="module")
def lava():
    try:
        find_python()
    except PumiceError as error:
        pytest.skip(str(error))
    return ensure_environment()


def run_reference(program, samples, trace):
    return reference.run(program, samples, trace=trace)


@pytest.mark.parametrize(
    "choices",
    [
        {"stride": 1, "discretization": "async", **LAYER},
        {"stride": 1, "discretization": "zoh", "extreme": True, **LAYER},
        {"stride": 4, "pool": "mean", **LAYER},
        {"stride": 3, "pool": "time", "readout": "time", **LAYER},
        {"stride": 2, "stages": 2, "layers": 2},
    ],
    ids=["layer", "layer-zoh-extreme", "strided-mean", "strided-time", "network"],
)
def test_lava_gives_the_reference_integers(lava, choices):
    """Logits after every event, what each process sends, every state."""
    program = random_program(17, **choices)
    shortest = 1 if program.pairing == "next" else 0
    samples = [random_sample(program, row, events) for row, events in enumerate((24, 1, shortest, 17))]
    traces = run_lava(program, samples, trace=True, timeout_s=120)
    backends = {"reference": run_reference, "lava": lambda *_: traces}
    verdict = compare(program, samples, backends, traced=4).verdicts[0]
    assert verdict.differing == 0, verdict.first
    states = sum(isinstance(node, DiagonalSSM) for node in program)
    assert (verdict.nodes[0], verdict.states) == (len(wire(program)), (states, states))


def test_steps_without_an_event_change_nothing(lava, tmp_path):
    program = random_program(23, stride=3, pool="time", readout="time", value="token", **LAYER)
    samples = [random_sample(program, row, 20) for row in range(2)]
    folder = write_bundle(program, samples, tmp_path / "bundle")
    with np.load(folder / "inputs.npz") as archive:
        inputs = dict(archive)
    rng = np.random.default_rng(0)
    steps = len(inputs["flags"])
    where = np.sort(np.append(rng.permutation(np.arange(1, steps + 15))[: steps - 1], 0))
    for name, array in inputs.items():
        spread = rng.integers(0, 1000, (steps + 15, array.shape[1]))
        spread[:] = spread if name != "flags" else 0
        spread[where] = array
        inputs[name] = spread
    np.savez(folder / "inputs.npz", **inputs)
    records = run_bundle(folder, timeout_s=120)
    for row, trace in enumerate(reference.run(program, samples)):
        np.testing.assert_array_equal(records[-1].values[row][-1], trace.logits)
        np.testing.assert_array_equal(records[1].values[row], trace.values["stages/0/layers/0/out"])


def test_a_failing_process_ends_the_run_with_its_reason(lava, tmp_path):
    program = random_program(23, value="token", **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    with np.load(folder / "inputs.npz") as archive:
        inputs = dict(archive)
    event = int(np.flatnonzero(inputs["flags"] & VALID)[5])
    inputs["values"][event] = 999
    np.savez(folder / "inputs.npz", **inputs)
    shared = set(os.listdir("/dev/shm"))
    with pytest.raises(PumiceError, match=r"a Lava process of .* failed: IndexError: index 999 is out of bounds"):
        run_bundle(folder, timeout_s=120)
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in left
    assert set(os.listdir("/dev/shm")) <= shared


def test_a_run_that_takes_too_long_is_ended(lava, tmp_path):
    program = random_program(23, **LAYER)
    folder = write_bundle(program, [random_sample(program, 1, 12)], tmp_path / "bundle")
    with pytest.raises(PumiceError, match=r"did not end within 0.2 s; raise the timeout"):
        run_bundle(folder, timeout_s=0.2)


def test_a_wrong_interpreter_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(SETTING, str(tmp_path / "python"))
    with pytest.raises(PumiceError, match="which does not start as Python 3"):
        find_python()


def test_without_an_interpreter_the_setting_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv(SETTING, raising=False)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PumiceError, match="install one and name it in PUMICE_PYTHON310"):
        find_python()
