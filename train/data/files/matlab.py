"""Events in MATLAB files of version 5, a variable a column, such as ASL-DVS (Bi et al. 2019)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from .columns import Columns, by_name, open_limited

MOST_BYTES = 1 << 26
"""Of all variables of a file; the QT database's hold a third. Reading takes up to eight times as much."""
PACKED = 15
"""MATLAB's number of an element packed by zlib."""


def read_mat(path: Path, order: tuple[str, ...]) -> Columns:
    """Variables by name.

    Raises:
        OSError, ValueError: it cannot be read, or holds something else.
    """
    open_limited(path).close()
    try:
        check_size(path)
        content = loadmat(path)
    except (TypeError, LookupError, NotImplementedError, MatReadError, MemoryError, zlib.error) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    return by_name({name: value for name, value in content.items() if not name.startswith("__")})


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
