"""A run that is killed at any moment, interrupted or raced ends with the results of one that was left alone."""

import os
import random
import signal
import time

import pytest
from pumice.stages import table

STAGES = [stage.name for stage in table.STAGES]
FEW = ["train", "quantize", "export-onnx"]
TRIALS = 20
FILES = 45
"""About as many files as a run gives a name to."""


def finish(start, run_arguments, folder):
    code, output = start(*run_arguments, f"run_dir={folder}").ended()
    assert code == 0, output


def assert_same(results, folder, whole):
    first, second = results(folder), results(whole)
    assert first.keys() == second.keys()
    for name, content in first.items():
        assert content == second[name], name
    assert not list(folder.rglob(".partial-*"))


def killed_at_random(start, run_arguments, folder, rng, seconds):
    """Kill -9 after a random time, or at a random file; whether it was still running."""
    if rng.random() < 0.5:
        run = start(*run_arguments, f"run_dir={folder}", crash_at=(rng.randrange(1, FILES), rng.random() < 0.5))
    else:
        run = start(*run_arguments, f"run_dir={folder}")
        run.process.join(rng.uniform(0, seconds))
        run.process.kill()
    return run.ended()[0] == -signal.SIGKILL


def killed_in_stage(start, arguments, folder, stage, delay):
    """Kill -9 ``delay`` seconds after ``stage`` has begun, however long what compiles before it takes."""
    run = start(*arguments, f"run_dir={folder}")
    while run.process.is_alive() and not (folder / "stages" / f"{stage}.json").exists():
        time.sleep(0.001)
    time.sleep(delay)
    run.process.kill()
    return run.ended()[0] == -signal.SIGKILL


@pytest.mark.thorough
def test_killed_three_times(start, run_arguments, whole, results, tmp_path):
    folder = tmp_path / "run"
    assert killed_in_stage(start, run_arguments, folder, "train", 0.05)
    assert start(*run_arguments, f"run_dir={folder}", crash_at=(9, True)).ended()[0] == -signal.SIGKILL
    assert killed_in_stage(start, run_arguments, folder, "quantize", 0.1)
    finish(start, run_arguments, tmp_path / "run")
    assert_same(results, tmp_path / "run", whole[0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(TRIALS))
def test_killed_at_random_moments(start, run_arguments, whole, results, tmp_path, seed):
    rng = random.Random(seed + 1)
    killed_at_random(start, run_arguments, tmp_path / "run", rng, whole[1])
    if seed % 2:
        killed_at_random(start, run_arguments, tmp_path / "run", rng, whole[1])
    finish(start, run_arguments, tmp_path / "run")
    assert_same(results, tmp_path / "run", whole[0])


def interrupted(start, arguments, folder, stage, delay):
    """Ctrl-C ``delay`` seconds after ``stage`` has begun: exit code and output."""
    record = folder / "stages" / f"{stage}.json"
    run = start(*arguments, f"run_dir={folder}")
    while run.process.is_alive() and not record.exists():
        time.sleep(0.001)
    time.sleep(delay)
    if run.process.is_alive():
        os.kill(run.process.pid, signal.SIGINT)
    return run.ended()


def check_interruptions(start, run_arguments, whole, results, folder, longest, stages=STAGES):
    rng, codes = random.Random(longest), []
    for stage in stages:
        code, output = interrupted(start, run_arguments, folder, stage, rng.uniform(0, longest))
        codes.append(code)
        if code == 0:  # the last stage may have ended before
            assert stage == STAGES[-1], output
        else:
            assert code == 130, output
            assert output.endswith("pumice: interrupted; the same command continues where it stopped\n"), output
            assert "Traceback" not in output
    assert codes.count(130) >= len(stages) - 1
    finish(start, run_arguments, folder)
    assert_same(results, folder, whole[0])


@pytest.mark.thorough
def test_interrupted_in_some_stages(start, run_arguments, whole, results, tmp_path):
    check_interruptions(start, run_arguments, whole, results, tmp_path / "run", 0.0, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("longest", [0.0, 0.05, 0.1, 0.2, 0.4])
def test_interrupted_in_every_stage(start, run_arguments, whole, results, tmp_path, longest):
    check_interruptions(start, run_arguments, whole, results, tmp_path / "run", longest)


@pytest.mark.thorough
def test_two_runs_in_one_folder(start, run_arguments, whole, results, check_sentence, tmp_path):
    """The second is refused as long as the first works there, and finds all finished afterwards."""
    folder = tmp_path / "run"
    first = start(*run_arguments, f"run_dir={folder}")
    while not (folder / "stages" / "train.json").exists():
        assert first.process.is_alive(), first.ended()[1]
        time.sleep(0.01)
    os.kill(first.process.pid, signal.SIGSTOP)  # it works there until the second has come and gone
    check_sentence(start(*run_arguments, f"run_dir={folder}").ended(), "another process works in")
    os.kill(first.process.pid, signal.SIGCONT)
    code, output = first.ended()
    assert code == 0, output
    assert_same(results, folder, whole[0])
    code, output = start(*run_arguments, f"run_dir={folder}").ended()
    assert code == 0, output
    done = [stage for stage in STAGES if (folder / "stages" / f"{stage}.json").exists()]
    assert all(f"{stage}: finished earlier" in output for stage in done)
    assert_same(results, folder, whole[0])
