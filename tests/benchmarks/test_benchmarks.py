"""Every benchmark starts: at its smallest size, in this process, which has loaded torch already."""

import runpy
import sys
import time
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"
SHARED = {"cortex_m4", "float_onnx", "programs", "timing"}
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)


@pytest.fixture(autouse=True)
def as_a_script(monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.syspath_prepend(FOLDER)
    yield
    torch.set_num_threads(threads)
    for name in SHARED:
        sys.modules.pop(name, None)


ALWAYS = {"simulator", "onnx_models", "scan"}
STARTED = [pytest.param(name, marks=[] if name in ALWAYS else pytest.mark.thorough) for name in SCRIPTS]


@pytest.mark.parametrize("name", STARTED)
def test_starts_at_its_smallest_size(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--size", "smallest"])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "CPU" in printed
    assert "━" in printed, "no table was printed"
    assert "nan" not in printed


@pytest.mark.parametrize("name", SCRIPTS)
def test_says_what_it_measures(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"python benchmarks/{name}.py" in told
    assert "CPU time" in told
    assert "{smallest,small,full}" in told


def test_the_work_is_timed_in_turns_and_compared_within_an_interface(capsys, monkeypatch):
    from timing import Way, compare, race

    order = []
    seconds = race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert order == ["a", "b"] * 4
    assert [len(times) for times in seconds.values()] == [3, 3]

    clock = [0.0]  # CPU time itself wavers with what else the machine does
    monkeypatch.setattr(time, "process_time", lambda: clock[0])

    def busy(*seconds):
        turns = iter((99.0, *seconds))  # the first call compiles

        def call():
            clock[0] += next(turns)

        return call

    ways = [
        Way("one", "yardstick", busy(3.0, 1.0, 2.0), yardstick=True),
        Way("one", "twice the units", busy(1.0, 9.0, 1.6), units=2),
        Way("other", "alone", busy(4.0, 4.0, 4.0)),
    ]
    compare("title", ways, rounds=3)
    rows = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    speeds = [row.split("│")[-2].strip() for row in rows]
    assert speeds[0] == "1"
    assert speeds[1] == "2.50"
    assert speeds[2] == ""
