"""Events in files of arrays and of text: .npy, .npz, .csv and .txt."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ....hdf5 import PLAUSIBLE_BYTES, PLAUSIBLE_RATIO
from ....program.archive import read_arrays
from .columns import MOST_BYTES, Columns, by_name, by_order, open_limited

DAMAGE = (EOFError, OverflowError, TokenError, SyntaxError, MemoryError, RecursionError, TypeError, LookupError)
"""What reading a header raises besides ValueError: numpy parses it as Python source."""
LONGEST_LINE, MOST_COLUMNS = 4096, 64
MOST_TEXT = 1 << 28
SEPARATORS = (",", ";", "\t")


def read_npy(path: Path, order: tuple[str, ...]) -> Columns:
    """Events with named fields, or columns (n, k) in the stated order.

    Raises:
        OSError, ValueError: it cannot be read, or holds something else.
    """
    open_limited(path).close()
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    if array.dtype.names is None:
        return by_order(np.array(array), order)
    return by_name({name: np.array(array[name]) for name in array.dtype.names if array.dtype[name].kind in "biuf"})


def read_npz(path: Path, order: tuple[str, ...]) -> Columns:
    """Arrays by name, or a single one of columns (n, k) in the stated order.

    Raises:
        OSError, ValueError: it cannot be read, holds something else, or declares more than it plausibly holds.
    """
    open_limited(path).close()
    size = os.path.getsize(path)
    arrays = read_arrays(path, min(MOST_BYTES, max(PLAUSIBLE_BYTES, PLAUSIBLE_RATIO * size)))
    if len(arrays) == 1:
        return by_order(next(iter(arrays.values())), order)
    return by_name({name: array for name, array in arrays.items() if array.ndim in (1, 2)})


def read_csv(path: Path, order: tuple[str, ...]) -> Columns:
    """A line an event, columns by a first line of names or in the stated order; comma, semicolon, tab or space.

    Raises:
        OSError, ValueError: it cannot be read, or holds something else.
    """
    with open_limited(path, MOST_TEXT) as file:
        first = file.readline(LONGEST_LINE)
        if len(first) == LONGEST_LINE:
            raise ValueError(f"its first line has {LONGEST_LINE:,} letters or more")
        try:
            line = first.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise ValueError("it is no text in UTF-8") from None
        separator = next((each for each in SEPARATORS if each in line), None)
        cells = [cell.strip() for cell in line.lstrip("#").split(separator)]
        if len(cells) > MOST_COLUMNS:
            raise ValueError(f"it has {len(cells)} columns, the limit is {MOST_COLUMNS}")
        named = not all(map(_is_number, cells))
        if not named:
            file.seek(0)
        try:
            lines = (text.decode("utf-8-sig") for text in file)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "loadtxt: input contained no data")
                table = np.loadtxt(lines, delimiter=separator, ndmin=2, dtype=np.float64)
        except UnicodeDecodeError:
            raise ValueError("it is no text in UTF-8") from None
    names = tuple(cells) if named else order
    table = np.zeros((0, len(names))) if not table.size else table
    if table.shape[1] != len(names):
        raise ValueError(f"it has {table.shape[1]} columns and names {len(names)} of them")
    return by_name(dict(zip(names, table.T, strict=True))) if named else by_order(table, order)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
