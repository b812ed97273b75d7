"""Numbers in MATLAB files of version 5, and events in them, a variable a column, such as ASL-DVS (Bi et al. 2019).

Read here and not by scipy, whose reader crashes on some damaged files. The format is MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, by_name, open_limited

MOST_BYTES = 1 << 26
"""Of all variables of a file; the QT database's hold a third. Reading takes up to eight times as much."""
HEADER = 128
MATRIX, PACKED = 14, 15
"""MATLAB's numbers of an array, and of an element packed by zlib."""
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of the numbers of an element."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Types of the arrays that they stand for."""
COMPLEX = 0x0800
MOST_AXES = 8


def read_mat(path: Path, order: tuple[str, ...]) -> Columns:
    """Variables by name.

    Raises:
        OSError, ValueError: it cannot be read, or holds something else.
    """
    return by_name(read_variables(path))


def read_variables(path: Path) -> dict[str, NDArray]:
    """The arrays of real numbers of a file, by name; other variables are left out.

    Raises:
        OSError, ValueError: it cannot be read, or holds more than `MOST_BYTES`.
    """
    open_limited(path).close()
    try:
        check_size(path)
        content = path.read_bytes()
        order = "<" if content[HEADER - 2 : HEADER] == b"IM" else ">"
        found: dict[str, NDArray] = {}
        for kind, element in _elements(content[HEADER:], order):
            if kind == PACKED:
                ((kind, element),) = list(_elements(zlib.decompressobj().decompress(element, MOST_BYTES), order))
            if kind == MATRIX and (variable := _variable(element, order)) is not None:
                found[variable[0]] = variable[1]
    except zlib.error as error:
        raise ValueError(f"it is damaged ({error})") from error
    return found


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of each element."""
    place, number = 0, np.dtype(f"{order}u4")
    while place < len(content):
        if len(content) - place < 8:
            raise ValueError("it is cut off")
        kind, size = np.frombuffer(content, number, 2, place).tolist()
        start, padded = place + 8, kind != PACKED
        if kind >> 16:  # up to four bytes, in the tag itself
            kind, size, start, padded = kind & 0xFFFF, kind >> 16, place + 4, False
            if size > 4:
                raise ValueError("it is damaged")
        if size > len(content) - start:
            raise ValueError("it is cut off")
        yield kind, content[start : start + size]
        place = place + 8 if start == place + 4 else start + (-(-size // 8) * 8 if padded else size)


def _variable(content: bytes, order: str) -> tuple[str, NDArray] | None:
    """Name and values of an array of real numbers; None for any other."""
    parts = list(_elements(content, order))
    if len(parts) < 4:
        return None
    (_, flags), (_, axes), (_, name), (kind, values) = parts[:4]
    told = int(np.frombuffer(flags, f"{order}u4")[0]) if len(flags) == 8 else 0
    shape = np.frombuffer(axes[: len(axes) // 4 * 4], f"{order}i4").tolist()
    if told & 0xFF not in CLASSES or told & COMPLEX or kind not in STORED:
        return None
    stored = np.dtype(f"{order}{STORED[kind]}")
    if not 2 <= len(shape) <= MOST_AXES or min(shape) < 0 or prod(shape) * stored.itemsize != len(values):
        raise ValueError(f"an array declares the shape {tuple(shape[:MOST_AXES])}, which its bytes do not fill")
    array = np.frombuffer(values, stored).reshape(shape, order="F")
    with np.errstate(invalid="ignore"):  # what is out of range is seen by whoever reads the variable
        return name.decode("latin-1"), array.astype(CLASSES[told & 0xFF])


def check_size(path: Path) -> None:
    """Refuse a MATLAB file of another version, or whose packed variables hold more than `MOST_BYTES` together.

    Raises:
        ValueError: what is wrong.
    """
    total = 0
    with path.open("rb") as file:
        header = file.read(128)
        if header[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise ValueError("it is not of version 5")
        order: Literal["little", "big"] = "little" if header.endswith(b"IM") else "big"
        while len(tag := file.read(8)) == 8:
            kind, size = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            total += size
            unpacker, left = zlib.decompressobj(), size
            while kind == PACKED and left > 0 and total <= MOST_BYTES:
                piece = file.read(min(left, 1 << 16))
                if not piece:
                    raise ValueError("it is cut off")
                left -= len(piece)
                while piece and total <= MOST_BYTES:
                    total += len(unpacker.decompress(piece, 1 << 20))
                    piece = unpacker.unconsumed_tail
            if total > MOST_BYTES:
                raise ValueError(f"its variables hold more than {MOST_BYTES:,} bytes")
            file.seek(left if kind == PACKED else size, 1)
