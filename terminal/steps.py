"""How far something is: a bar with the time left on a terminal, a line now and then in a pipe and in the log.

The lines come after half a minute, a minute, two, four, and so on: a long run needs but a few of them.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from .console import Level, Printer, log_console, plainly
from .tables import shortened

FIRST_LINE_S = 30.0
"""Seconds after which the first line comes."""
OF_NUMBERS = 46
"""Columns for a bar and what stands behind it."""
LONGEST_S = 1800.0
"""Seconds after which the next line comes at the latest."""
Item = TypeVar("Item")

_shown, _stderr = False, False
_bars: Progress | None = None
_lock = threading.RLock()


@contextlib.contextmanager
def shown(asked: bool = True, stderr: bool = False) -> Iterator[None]:
    """Whether progress is told at all: a command does, a library keeps quiet; what prints data tells it elsewhere."""
    global _shown, _stderr
    before = _shown, _stderr
    _shown, _stderr = asked, stderr
    try:
        yield
    finally:
        _shown, _stderr = before


class Steps:
    """Counts what is done.

    Args:
        what: is being done.
        total: how much there is; None where nobody knows.
        done: how much is done already.
    """

    def __init__(self, what: str, total: int | None, done: int = 0) -> None:
        self.what, self.total, self.done = what, total, done
        self._start, self._before = time.monotonic(), done
        self._next = FIRST_LINE_S
        self._bar = (
            _bars.add_task(_described(what, _bars.console), total=total, completed=done) if _bars is not None else None
        )

    def __call__(self, more: int = 1) -> None:
        """So much more is done."""
        self.at(self.done + more)

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        """So much is done, of so much, and it is called so."""
        with _lock:
            self.done, self.total, self.what = done, total or self.total, what or self.what
            if _bars is not None and self._bar is not None:
                _bars.update(
                    self._bar, completed=done, total=self.total, description=_described(self.what, _bars.console)
                )
            took = time.monotonic() - self._start
            if took < self._next or self.done == self.total:
                return
            self._next = max(took, min(2 * self._next, self._next + LONGEST_S))
            self._tell(took)

    def _tell(self, took: float) -> None:
        line = f"  {self.line(took)}"
        if _bars is None:
            Printer(Level.BRIEF, stderr=_stderr).print(line, highlight=False)
        elif (log := log_console()) is not None:
            log.print(line)

    def line(self, took: float) -> str:
        """What is done, of what, in which time, and how long the rest will take."""
        if not self.total:
            return f"{self.what}: {self.done:,.0f} after {_clock(took)}"
        made = self.done - self._before
        left = f", {_clock(took * (self.total - self.done) / made)} left" if made > 0 else ""
        return f"{self.what}: {self.done:,.0f} of {self.total:,.0f} after {_clock(took)}{left}"

    def close(self) -> None:
        """It is over."""
        if _bars is not None and self._bar is not None:
            _bars.remove_task(self._bar)


class _Silent(Steps):
    """Nobody looks."""

    def __init__(self) -> None:
        self.what, self.total, self.done = "", None, 0

    def at(self, done: int, total: int | None = None, what: str | None = None) -> None:
        self.done = done

    def close(self) -> None:
        pass


@contextlib.contextmanager
def progress(what: str, total: int | None = None, done: int = 0) -> Iterator[Steps]:
    """Give what is called with every step that is done.

    Args:
        what: is being done, such as "calibration".
        total: how much there is to do; None where nobody knows.
        done: how much was done earlier.
    """
    global _bars
    if not _shown:
        yield _Silent()
        return
    console = Console(stderr=_stderr, **plainly())
    outermost = _bars is None and console.is_terminal and not console.is_dumb_terminal
    if outermost:
        _bars = Progress(*_columns(), console=console, transient=True, expand=True)
        _bars.start()
    steps = Steps(what, total, done)
    try:
        yield steps
    finally:
        steps.close()
        if outermost and _bars is not None:
            _bars.stop()
            _bars = None


def track(
    items: Iterable[Item], what: str, total: int | None = None, size: Callable[[Item], int] | None = None
) -> Iterator[Item]:
    """The items one after the other, and how far they are.

    Args:
        items: any.
        what: is being done with them.
        total: how many; if not given, as many as they say themselves.
        size: how many one of them counts for; 1 if not given.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with progress(what, total) as step:
        for item in items:
            yield item
            step(1 if size is None else size(item))


def _clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _columns() -> Iterator[ProgressColumn]:
    """What is being done, a bar as wide as there is room for, and numbers, which stay whole."""
    yield TextColumn("{task.description}")
    yield BarColumn(bar_width=None)
    for kind in (MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn):
        yield kind(table_column=Column(no_wrap=True))


def _described(what: str, console: Console) -> str:
    """A name that leaves room for a bar and its numbers."""
    return shortened(Text(what), max(console.width - OF_NUMBERS, 8)).plain
