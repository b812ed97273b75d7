"""What reaches the screen, what the log, and how plain it is."""

import io
import subprocess
import sys

import pytest
from pumice.errors import PumiceError
from pumice.terminal import Level, Printer, Table, handed_on, kept_in, running, take_over
from pumice.terminal.console import PIPE_WIDTH
from rich.text import Text

LONG = "a line that is much longer than the screen: " + "10,778,128 values and a/path/of/many/folders " * 4


def printed(text, **options):
    file = io.StringIO()
    Printer(file=file, **options).print(text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("asked", "seen"),
    [(Level.BRIEF, ["brief"]), (Level.USUAL, ["brief", "usual"]), (Level.ALL, ["brief", "usual", "all"])],
)
def test_the_screen_shows_up_to_a_level_and_the_log_keeps_all(tmp_path, capsys, asked, seen):
    with running("pumice run x", asked), kept_in(tmp_path / "run.log"):
        for level in Level:
            Printer(level).print(level.name.lower())
    assert capsys.readouterr().out.split() == seen
    first, *rest, last = (tmp_path / "run.log").read_text().splitlines()
    assert first.startswith("== 20")
    assert first.endswith(": pumice run x")
    assert rest == ["brief", "usual", "all"]
    assert last.endswith("done")


def test_a_log_is_added_to_and_says_how_it_ended(tmp_path, capsys):
    log = tmp_path / "run.log"
    with pytest.raises(PumiceError), kept_in(log):
        raise PumiceError("no such thing")
    with pytest.raises(ZeroDivisionError), kept_in(log):
        print(1 / 0)
    with pytest.raises(KeyboardInterrupt), kept_in(log):
        raise KeyboardInterrupt
    text = log.read_text()
    assert text.count("== ") == 6
    assert "stopped: no such thing" in text
    assert "Traceback" in text
    assert "ZeroDivisionError" in text
    assert text.rstrip().endswith("stopped: KeyboardInterrupt")
    Printer().print("after")
    assert "after" not in log.read_text()


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    with (
        pytest.raises(PumiceError, match=r"cannot write the log .*no/run.log: No such file"),
        kept_in(tmp_path / "no/run.log"),
    ):
        pass


def test_logs_have_no_escapes_and_whole_lines(tmp_path):
    table = Table("node", "n")
    table.add_row("x", Text("1", "red"))
    file = io.StringIO()
    with kept_in(tmp_path / "run.log"):
        Printer(file=file, force_terminal=True, color_system="standard", width=60).print(LONG, style="bold")
        Printer(file=file, force_terminal=True, color_system="standard", width=60).print(table)
    assert "\x1b[" in file.getvalue()
    log = (tmp_path / "run.log").read_text()
    assert "\x1b" not in log
    assert log.isascii()
    assert LONG in log


def test_no_line_is_broken_in_a_pipe():
    assert printed(LONG, width=60) == f"{LONG}\n"
    assert printed("[bold]brackets[/bold] [1]") == "[bold]brackets[/bold] [1]\n"


def test_a_terminal_breaks_lines_at_words_alone():
    lines = printed(LONG, width=60, force_terminal=True, color_system=None, highlight=False).splitlines()
    assert len(lines) > 3
    assert [word for line in lines for word in line.split()] == LONG.split()
    path = "x" * 100
    assert path in printed(f"written: {path}", width=60, force_terminal=True, color_system=None)


def test_no_color_leaves_no_escape(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    Printer(file=file, force_terminal=True).print("1,234 bytes", style="bold red")
    assert file.getvalue() == "1,234 bytes\n"


def test_the_width_of_a_pipe(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert Printer(file=io.StringIO()).width == PIPE_WIDTH
    assert Printer(file=io.StringIO(), width=33).width == 33
    monkeypatch.setenv("COLUMNS", "77")
    assert Printer(file=io.StringIO()).width == 77


def test_another_process_goes_on_in_the_same_log(tmp_path):
    log = tmp_path / "run.log"
    with running("x", Level.BRIEF), kept_in(log):
        handed = handed_on()
        code = "import sys; from pumice.terminal import Level, Printer, take_over;"
        code += "take_over((Level(int(sys.argv[1])), sys.argv[2]));"
        code += "Printer().print('kept'); Printer(Level.BRIEF).print('shown')"
        words = [sys.executable, "-c", code, str(int(handed[0])), handed[1]]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "shown\n"
    assert log.read_text().splitlines()[1:-1] == ["kept", "shown"]


def test_nothing_to_take_over():
    take_over(handed_on())
    assert handed_on() == (Level.USUAL, None)
