"""What is printed, for whom, and the log that keeps all of it.

A terminal gets colours and frames; a pipe, a file and a terminal with NO_COLOR get plain text, and in a locale without
Unicode everything is ASCII. What a command prints besides a summary has a level: `running` says up to which one the
screen shows it, and a log, `kept_in`, gets all of it.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from datetime import datetime, timezone
from enum import IntEnum
from pathlib import Path
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions

from ..errors import PumiceError
from ..version import __version__

PIPE_WIDTH = 120
"""Columns where nobody says how many there are."""


class Level(IntEnum):
    """How much is asked for: a whole run in brief, what a single verb prints, all that there is to say."""

    BRIEF = 0
    USUAL = 1
    ALL = 2


_level = Level.USUAL
_command = ""
_log: Console | None = None


class Printer(Console):
    """A Rich console that also prints into the log; square brackets in what it prints are no markup.

    Args:
        least: the level from which on the screen shows it.
        options: those of Rich's console.
    """

    def __init__(self, least: Level = Level.USUAL, **options: Any) -> None:
        super().__init__(**{"markup": False, **plainly(), **options})
        self._least = least

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines: those of the terminal or of COLUMNS; in a pipe without, `PIPE_WIDTH` columns."""
        found = super().size
        return found if self._width is not None or self.is_terminal else ConsoleDimensions(PIPE_WIDTH, found.height)

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self.width, self.height = new

    def print(self, *objects: Any, **options: Any) -> None:
        """Print into the log and, where that is asked for, on the screen; see Rich. No line is broken in a pipe."""
        if _log is not None:
            _log.print(*objects, **{**options, "soft_wrap": options.get("soft_wrap") or _is_text(objects)})
        if _level < self._least:
            return
        if _is_text(objects):  # a terminal gets lines broken at words, and a path that is longer than a line as it is
            options = {**options, "soft_wrap": True}
            if self.is_terminal:
                objects = tuple("\n".join(folded(line, self.width) for line in text.split("\n")) for text in objects)
        super().print(*objects, **{"crop": False, **options})


def _is_text(objects: tuple[Any, ...]) -> bool:
    return all(isinstance(each, str) for each in objects)


def folded(text: str, width: int) -> str:
    """A line on lines of this many columns, broken at blanks; a longer word has a line of its own."""
    lines: list[str] = []
    for word in text.split(" "):
        if lines and cell_len(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def plainly() -> dict[str, Any]:
    """No escape sequences where NO_COLOR is set: Rich alone leaves bold and dim."""
    return {"color_system": None, "highlight": False} if os.environ.get("NO_COLOR") else {}


def level() -> Level:
    """The level that is shown."""
    return _level


@contextlib.contextmanager
def running(command: str, asked: Level) -> Iterator[None]:
    """Show what is of this level or below; logs say that it is this command."""
    global _level, _command
    before = _level, _command
    _level, _command = asked, command
    try:
        yield
    finally:
        _level, _command = before


def plain_console(file: TextIO, width: int = PIPE_WIDTH) -> Console:
    """What writes plain text to a file."""
    return Console(file=file, width=width, color_system=None, force_terminal=False, markup=False, highlight=False)


@contextlib.contextmanager
def kept_in(path: Path) -> Iterator[None]:
    """Append all that is printed to a log, with a line ahead that says when and by which command, and how it ended.

    Args:
        path: of the log.

    Raises:
        PumiceError: the file cannot be written to.
    """
    global _log
    try:
        file = _appended(path.absolute())
    except OSError as error:
        raise PumiceError(f"cannot write the log {path}: {error.strerror}; choose another run_dir") from error
    with file:
        before, _log = _log, plain_console(file)
        print(f"== {_now()} pumice {__version__}: {_command or 'called from Python'}", file=file)
        try:
            yield
        except BaseException as error:
            expected = isinstance(error, (PumiceError, KeyboardInterrupt))
            told = str(error) or type(error).__name__ if expected else "".join(traceback.format_exception(error))
            print(f"== {_now()} stopped: {told}", file=file)
            raise
        else:
            print(f"== {_now()} done", file=file)
        finally:
            _log = before


def handed_on() -> tuple[Level, str | None]:
    """What `take_over` needs in another process, to show the same and print into the same log."""
    name = getattr(_log.file, "name", None) if _log is not None else None
    return _level, name


def take_over(handed: tuple[Level, str | None]) -> None:
    """Show what another process shows, and print into its log, to the end of this one."""
    global _level, _log
    _level, name = handed
    if name is not None and _log is None:
        _log = plain_console(_appended(Path(name)))


def log_console() -> Console | None:
    """What writes to the log, where there is one."""
    return _log


def _appended(path: Path) -> TextIO:
    return path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
