"""Lines of numbers from a stream of bytes: ``t,x[,y,p]``, or a row of values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import PumiceError

LONGEST_LINE, MOST_CELLS = 1 << 16, 1 << 12
"""Bytes of a line, and numbers in it."""
SEPARATORS = (b",", b";", b"\t", b" ")


class LineReader:
    """Cuts bytes into lines of equally many numbers; a line that is not whole yet waits.

    The first line says what separates numbers (comma, semicolon, tab or blanks) and how many there are; a first line of
    names, lines that begin with ``#`` and empty ones are passed over.

    Args:
        name: of the stream, for messages.
        widths: how many numbers a line may have; empty for any.
        refused: takes a sentence about a line that is none, and raises or counts it.
    """

    def __init__(self, name: str, widths: tuple[int, ...], refused: Callable[[str], None]) -> None:
        self.name, self._widths, self._refused = name, widths, refused
        self._rest, self._separator, self._width, self.lines = b"", b",", 0, 0

    def take(self, chunk: bytes) -> NDArray[np.float64]:
        """The numbers (n, width) of the lines that ``chunk`` completes.

        Raises:
            PumiceError: a line that does not end.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise PumiceError(
                f"{self.name}: line {self.lines + len(lines) + 1} has more than {LONGEST_LINE:,} letters; give a line "
                "an event"
            )
        return self._numbers(lines)

    def finish(self) -> NDArray[np.float64]:
        """The numbers of a last line that no newline ends."""
        rest, self._rest = self._rest, b""
        return self._numbers([rest] if rest else [])

    def _numbers(self, lines: list[bytes]) -> NDArray[np.float64]:
        self.lines += len(lines)
        if not self._width:
            lines = self._begin(lines)
        if not self._width:
            return np.zeros((0, 1))
        try:
            return self._table(lines)
        except ValueError:
            found = [row for k, line in enumerate(lines) if (row := self._row(line, self.lines - len(lines) + k + 1))]
            return np.array(found, dtype=np.float64).reshape(-1, self._width)

    def _table(self, lines: list[bytes]) -> NDArray[np.float64]:
        """All lines at once; ValueError where one of them is not of its kind."""
        if not lines:
            return np.zeros((0, self._width))
        separator = self._separator
        cells = b"\n".join(lines).split() if separator == b" " else separator.join(lines).split(separator)
        counted = {len(line.split()) if separator == b" " else line.count(separator) + 1 for line in lines}
        if counted != {self._width}:
            raise ValueError
        table = np.array(cells).astype(np.float64).reshape(-1, self._width)
        if not np.isfinite(table).all():
            raise ValueError
        return table

    def _begin(self, lines: list[bytes]) -> list[bytes]:
        """Learn the width from the first line of numbers, and pass over what comes before it."""
        for k, line in enumerate(lines):
            if not (bare := line.strip()) or bare.startswith(b"#"):
                continue
            self._separator = next((each for each in SEPARATORS if each in bare), b",")
            cells = bare.split() if self._separator == b" " else bare.split(self._separator)
            if self.lines - len(lines) + k == 0 and not any(map(_is_number, cells)):
                continue  # names
            if (self._widths and len(cells) not in self._widths) or len(cells) > MOST_CELLS:
                wanted = " or ".join(map(str, self._widths)) or f"{MOST_CELLS} at most"
                self._refused(
                    f"{self.name}: line {self.lines - len(lines) + k + 1} has {len(cells)} columns, not {wanted}"
                )
                continue
            self._width = len(cells)
            return lines[k:]
        return []

    def _row(self, line: bytes, number: int) -> list[float] | None:
        bare = line.strip()
        if not bare or bare.startswith(b"#"):
            return None
        cells = bare.split() if self._separator == b" " else bare.split(self._separator)
        if len(cells) == self._width and all(map(_is_number, cells)):
            return [float(cell) for cell in cells]
        shown = bare[:40].decode("utf-8", "replace")
        self._refused(f"{self.name}: line {number} is '{shown}' and not {self._width} numbers")
        return None


def _is_number(cell: bytes) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False
