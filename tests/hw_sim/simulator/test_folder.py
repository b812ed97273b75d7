"""Traces in files: the same integers as in memory, few of them held at a time, and no folder that is not whole."""

from __future__ import annotations

import errno
import json
import resource
from pathlib import Path

import numpy as np
import pumice
import pytest
from pumice.errors import PumiceError
from pumice.hw_sim.simulator import rows, run, run_stepwise
from pumice.hw_sim.simulator.rows import RowsInFiles, file_names
from pumice.program import ProgramError, reference
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from pumice.program.random.spiking import random_spiking_events

PROGRAMS = {
    "events": lambda: random_program(5, stages=2, stride=4),
    "next": lambda: random_program(8, pairing="next"),
    "neurons": lambda: random_network(2, layers=2),
    "spiking": lambda: random_spiking_events(4),
    "loihi": lambda: random_loihi(1),
}


@pytest.fixture
def held(monkeypatch):
    """The most bytes of rows that a recording held, where it is to hold 4,000."""
    monkeypatch.setattr(rows, "HELD", 4000)
    most, write = [0], RowsInFiles._write

    def watched(kept):
        most[0] = max(most[0], sum(part.nbytes for parts in kept._kept.values() for part in parts))
        write(kept)

    monkeypatch.setattr(RowsInFiles, "_write", watched)
    return most


def same(found, expected, folder):
    assert found.logits.tolist() == expected.logits.tolist()
    assert (found.incomplete, found.saturations, found.clipped_gaps) == (
        expected.incomplete, expected.saturations, expected.clipped_gaps,
    )  # fmt: skip
    for kind in ("values", "states"):
        mine, right = getattr(found, kind), getattr(expected, kind)
        assert list(mine) == list(right)
        for name, array in mine.items():
            assert array.dtype == np.int64
            np.testing.assert_array_equal(array, right[name])
            np.testing.assert_array_equal(np.load(folder / kind / f"{name}.npy"), right[name])
            assert isinstance(array, np.memmap) == (len(array) > 0)
            assert not isinstance(array, np.memmap) or Path(array.filename) == folder / kind / f"{name}.npy"
    if expected.series is not None:
        np.testing.assert_array_equal(found.series, expected.series)
    told = json.loads((folder / "trace.json").read_text())
    assert told == {
        "logits": expected.logits.tolist(),
        "incomplete": expected.incomplete,
        "saturations": expected.saturations,
        "clipped_gaps": expected.clipped_gaps,
    }


@pytest.mark.parametrize("kind", PROGRAMS)
@pytest.mark.parametrize("mode", [run, run_stepwise])
def test_files_hold_what_memory_does(kind, mode, held, tmp_path):
    program = PROGRAMS[kind]()
    samples = [random_sample(program, seed, events) for seed, events in enumerate((700, 0, 61))]
    expected = mode(program, samples, trace=True)
    found = mode(program, samples, folder=tmp_path / "traces", threads=2)
    for number, (mine, right) in enumerate(zip(found, expected, strict=True)):
        same(mine, right, tmp_path / "traces" / str(number))
    assert sorted(path.name for path in (tmp_path / "traces").iterdir()) == ["0", "1", "2"]
    assert [path.name for path in tmp_path.iterdir()] == ["traces"]
    arrays = [*expected[0].values.values(), *expected[0].states.values()]
    event = sum(8 * array.shape[1] for array in arrays)
    assert 0 < held[0] <= 4000 + (256 if mode is run else 1) * event
    assert held[0] < sum(array.nbytes for array in arrays) / 2


def test_they_are_those_of_the_reference(tmp_path):
    program = random_program(5, stages=2, stride=4)
    samples = [random_sample(program, 3, 130)]
    (expected,) = reference.run(program, samples)
    (found,) = pumice.simulate(program, samples, folder=str(tmp_path / "new" / "traces"), stepwise=True)
    for name, array in expected.values.items():
        np.testing.assert_array_equal(found.values[name], array)
    for name, array in expected.states.items():
        np.testing.assert_array_equal(found.states[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found.states[name][0] = 1


def test_a_folder_that_exists_is_left_alone(tmp_path):
    program = random_network(2)
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(PumiceError, match=r"cannot write .*: File exists; choose another folder"):
        pumice.simulate(program, [random_sample(program, 0, 9)], folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_disk_that_is_full_leaves_nothing(tmp_path, monkeypatch):
    program = random_network(2)
    samples = [random_sample(program, 0, 5000)]
    expected = run(program, samples, trace=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(PumiceError, match=r"cannot write .*traces: File too large; choose another folder"):
            run(program, samples, folder=tmp_path / "traces")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []

    def full(kept):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(RowsInFiles, "_write", full)
        with pytest.raises(PumiceError, match="No space left on device; choose another folder or free space"):
            run(program, samples, folder=tmp_path / "traces")
    assert list(tmp_path.iterdir()) == []
    (found,) = run(program, samples, folder=tmp_path / "traces")
    same(found, expected[0], tmp_path / "traces" / "0")


def test_a_sample_that_is_refused_leaves_nothing(tmp_path):
    program = random_program(5)
    (values, times) = random_sample(program, 0, 20)
    with pytest.raises(ProgramError, match="sample 0"):
        run(program, [(values, times[::-1].copy() + np.arange(20)[::-1])], folder=tmp_path / "traces")
    assert list(tmp_path.iterdir()) == []


def test_traces_that_cannot_be_mapped_stay_in_their_files(tmp_path, monkeypatch):
    program = random_network(2)

    def none(kept, folder):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(RowsInFiles, "mapped", none)
    with pytest.raises(PumiceError, match=r"not all can be mapped at once \(Cannot allocate memory\)"):
        run(program, [random_sample(program, 0, 9)], folder=tmp_path / "traces")
    assert (tmp_path / "traces" / "0" / "trace.json").is_file()


def test_names_of_nodes_stay_below_the_folder():
    """Programs come from anybody."""
    names = ["../../x", "/etc/x", "a/../b", "a\\b", "a:b", "a b", "A B", "", "..", "u", "long" * 100, "stages/0/y"]
    found = file_names([("values", name) for name in names] + [("states", "u")])
    paths = [path.as_posix() for path in found.values()]
    assert all(not path.startswith(("/", ".")) and ".." not in path.split("/") for path in paths)
    assert all(path.split("/")[0] == kind for (kind, _), path in zip(found, paths, strict=True))
    assert len({path.lower() for path in paths}) == len(names) + 1
    assert max(map(len, paths)) < 120
    assert found["values", "stages/0/y"].as_posix() == "values/stages/0/y.npy"
