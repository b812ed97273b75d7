"""Files of Prophesee cameras: .dat, and .raw of the encodings EVT 2.0 and EVT 3.0, as the vendor documents them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, read_limited

LONGEST_HEADER = 1 << 16
DAT_BYTES = 8
DAT_CD = (0x00, 0x0C)
"""Types of change-detection events in .dat files: of old and of newer cameras."""
EVT2_OFF, EVT2_ON, EVT2_HIGH = 0x0, 0x1, 0x8
EVT3_Y, EVT3_X, EVT3_BASE, EVT3_12, EVT3_8, EVT3_LOW, EVT3_HIGH = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8


def read_dat(path: Path, order: tuple[str, ...]) -> Columns:
    """Pixel events of 64 bits, polarities 0 and 1, microseconds.

    Raises:
        OSError, ValueError: it cannot be read, holds something else, or is cut off.
    """
    content = read_limited(path)
    start = _header(content)[1]
    kind = content[start : start + 2]
    if len(kind) < 2 or kind[1] != DAT_BYTES or kind[0] not in DAT_CD:
        raise ValueError("it holds no change-detection events of 8 bytes")
    words = _words(content[start + 2 :], "<u4", 2).reshape(-1, 2)
    t, address = words[:, 0].astype(np.int64), words[:, 1]
    return Columns(t, address & 0x3FFF, address >> 14 & 0x3FFF, address >> 28 & 1, 1)


def read_raw(path: Path, order: tuple[str, ...]) -> Columns:
    """Pixel events, polarities 0 and 1, microseconds; the header names the encoding.

    Raises:
        OSError, ValueError: it cannot be read, is of another encoding, or is cut off.
    """
    content = read_limited(path)
    header, start = _header(content)
    encoding = header.get("evt") or header.get("format", "").split(";")[0].replace("EVT", "")
    readers = {"2": _evt2, "2.0": _evt2, "3": _evt3, "3.0": _evt3}
    if encoding not in readers:
        raise ValueError(f"its encoding is {encoding or 'not named'}, known are EVT 2.0 and 3.0; convert it to one")
    return readers[encoding](content[start:])


def _header(content: bytes) -> tuple[dict[str, str], int]:
    """The lines ``% name value`` at the beginning, and where they end."""
    entries, start = {}, 0
    while content[start : start + 2] == b"% ":  # a word of events may begin with a % as well
        end = content.find(b"\n", start, start + LONGEST_HEADER)
        if end < 0 or end > LONGEST_HEADER:
            raise ValueError(f"its header is longer than {LONGEST_HEADER:,} bytes")
        name, _, value = content[start + 1 : end].decode("latin-1").strip().partition(" ")
        entries[name.lower()] = value.strip()
        start = end + 1
        if name.lower() == "end":
            break
    return entries, start


def _words(content: bytes, dtype: str, multiple: int = 1) -> NDArray:
    size = np.dtype(dtype).itemsize * multiple
    if len(content) % size:
        raise ValueError(f"its {len(content):,} bytes of events are no multiple of {size}; it is cut off")
    return np.frombuffer(content, dtype)


def _evt2(content: bytes) -> Columns:
    words = _words(content, "<u4").astype(np.int64)
    kind = words >> 28
    high = _latest(words & 0x0FFF_FFFF, kind == EVT2_HIGH)
    events = ((kind == EVT2_OFF) | (kind == EVT2_ON)) & (np.cumsum(kind == EVT2_HIGH) > 0)
    words, kind, high = words[events], kind[events], high[events]
    return Columns(high << 6 | words >> 22 & 0x3F, words >> 11 & 0x7FF, words & 0x7FF, kind, 1)


def _evt3(content: bytes) -> Columns:
    """Words of 16 bits that change a state: time, row, and the base of vectors of 12 or 8 pixels in a row."""
    words = _words(content, "<u2").astype(np.int64)
    kind, low12 = words >> 12, words & 0x0FFF
    is_high = kind == EVT3_HIGH
    # The 24 bits of time begin anew every 16.8 s: a high part that falls by more than half counts one round more.
    highs = low12[is_high]
    rounds = np.concatenate([np.zeros(min(len(highs), 1), np.int64), np.cumsum(np.diff(highs) < -(1 << 11))])
    counted = np.zeros(len(words), np.int64)
    counted[is_high] = rounds << 12 | highs
    low = _latest(low12, kind == EVT3_LOW)
    low[_last(is_high) > _last(kind == EVT3_LOW)] = 0  # a new high part begins at its start
    t = _latest(counted, is_high) << 12 | low
    y = _latest(words & 0x7FF, kind == EVT3_Y)
    started = (np.cumsum(is_high) > 0) & (np.cumsum(kind == EVT3_Y) > 0)
    width = np.where(kind == EVT3_12, 12, np.where(kind == EVT3_8, 8, 0))
    gone = np.cumsum(width) - width  # pixels of vectors before each word
    is_base = kind == EVT3_BASE
    base = _latest(words & 0x7FF, is_base) + gone - _latest(gone, is_base)
    polarity = np.where(kind == EVT3_X, words >> 11 & 1, _latest(words >> 11 & 1, is_base))
    single = np.flatnonzero(started & (kind == EVT3_X))
    vectors = np.flatnonzero(started & (width > 0) & (np.cumsum(is_base) > 0))
    row, bit = np.nonzero((words[vectors, None] >> np.arange(12) & 1) * (np.arange(12) < width[vectors, None]))
    at = np.concatenate([single, vectors[row]])
    x = np.concatenate([words[single] & 0x7FF, base[vectors[row]] + bit])
    order = np.argsort(at, kind="stable")
    at, x = at[order], x[order]
    return Columns(t[at], x, y[at], polarity[at], 1)


def _last(where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each entry the last one up to it at which ``where`` holds; -1 for none."""
    return np.maximum.accumulate(np.where(where, np.arange(len(where)), -1))


def _latest(values: NDArray[np.int64], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each entry the value at the last one up to it at which ``where`` holds; 0 for none."""
    last = _last(where)
    return np.where(last >= 0, values[last], 0) if len(values) else values.copy()
