"""How far something is: silent in a library, lines that become rarer in a pipe, a bar on a terminal."""

import io

import pytest
from pumice.terminal import kept_in, progress, shown, track
from pumice.terminal import steps as module
from rich.console import Console


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    now = [0.0]
    monkeypatch.setattr("pumice.terminal.steps.time.monotonic", lambda: now[0])
    return now


def go(clock, steps, seconds, what="calibration, samples", done=0):
    with progress(what, steps, done) as step:
        for _ in range(steps - done):
            clock[0] += seconds
            step()


def test_a_library_keeps_quiet(clock, capsys):
    go(clock, 100, 10.0)
    assert capsys.readouterr().out == ""


def test_lines_become_rarer(clock, capsys):
    with shown():
        go(clock, 1000, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "  calibration, samples: 30 of 1,000 after 0:30, 16:10 left",
        "  calibration, samples: 60 of 1,000 after 1:00, 15:40 left",
        "  calibration, samples: 120 of 1,000 after 2:00, 14:40 left",
        "  calibration, samples: 240 of 1,000 after 4:00, 12:40 left",
        "  calibration, samples: 480 of 1,000 after 8:00, 8:40 left",
        "  calibration, samples: 960 of 1,000 after 16:00, 0:40 left",
    ]


def test_a_long_run_says_something_every_half_hour(clock, capsys):
    with shown():
        go(clock, 24 * 60, 60.0)  # a day
    lines = capsys.readouterr().out.splitlines()
    assert 45 <= len(lines) <= 60
    assert lines[-1].split(" after ")[1].startswith("23:")


def test_what_was_done_earlier_took_no_time(clock, capsys):
    with shown():
        go(clock, 100, 1.0, done=60)
    assert capsys.readouterr().out == "  calibration, samples: 90 of 100 after 0:30, 0:10 left\n"


def test_short_work_says_nothing(clock, capsys):
    with shown():
        go(clock, 100, 0.1)
    assert capsys.readouterr().out == ""


def test_items_pass_and_are_counted(clock, capsys):
    def items():
        for number in range(3):
            clock[0] += 31
            yield [number] * 10

    with shown():
        assert list(track(items(), "x", 30, size=len)) == [[0] * 10, [1] * 10, [2] * 10]
        assert list(track([1, 2], "y")) == [1, 2]
        assert list(track(iter([1, 2]), "y")) == [1, 2]
    assert capsys.readouterr().out.splitlines() == [
        "  x: 10 of 30 after 0:31, 1:02 left",
        "  x: 20 of 30 after 1:02, 0:31 left",
    ]


def test_of_an_unknown_total_the_number_is_told(clock, capsys):
    with shown(), progress("x") as step:
        clock[0] += 40
        step(5)
    assert capsys.readouterr().out == "  x: 5 after 0:40\n"


def test_data_on_standard_output_stay_alone(clock, capsys):
    with shown(stderr=True):
        go(clock, 40, 1.0)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_a_terminal_gets_a_bar_with_the_time_left_and_the_log_its_lines(clock, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    with shown(), kept_in(tmp_path / "run.log"), progress("outer", 2) as outer:
        bars = module._bars
        with progress("inner, samples", 100) as inner:
            inner.at(50)
            clock[0] += 40
            inner.at(60, what="inner, epoch 2, samples")
            assert [task.description for task in bars.tasks] == ["outer", "inner, epoch 2, samples"]
            assert bars.tasks[1].completed == 60
        outer()
        assert [task.description for task in bars.tasks] == ["outer"]
    assert module._bars is None
    assert "inner, epoch 2, samples: 60 of 100 after 0:40" in (tmp_path / "run.log").read_text()
    assert "outer" in capsys.readouterr().out


def test_a_mistake_ends_the_bar(monkeypatch, capsys):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ZeroDivisionError), shown(), progress("x", 1):
        print(1 / 0)
    assert module._bars is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_numbers_of_a_bar_stay_whole(width, monkeypatch, capsys):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    with shown(), progress("simulation by single events, samples of a test set", 1_200_000) as step:
        step.at(1_099_999)
        lines = Console(width=width, file=io.StringIO()).render_lines(module._bars.get_renderable())
    (line,) = ("".join(segment.text for segment in each) for each in lines)
    assert len(line) <= width
    assert "1099999/1200000" in line
    assert line.count(":") >= 2
    assert "…" not in line
