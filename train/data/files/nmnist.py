"""The binary files of N-MNIST and N-Caltech101 (Orchard et al. 2015): five bytes an event.

x, y, and 24 bits: the polarity and 23 bits of microseconds. A row of 240 says that 8,192 us went by.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .columns import Columns, read_limited

BYTES, OVERFLOW_ROW, OVERFLOW_US = 5, 240, 1 << 13


def read_bin(path: Path, order: tuple[str, ...]) -> Columns:
    """Pixel events, polarities 0 and 1, microseconds.

    Raises:
        OSError, ValueError: it cannot be read, or is cut off.
    """
    content = np.frombuffer(read_limited(path), np.uint8)
    if len(content) % BYTES:
        raise ValueError(f"its {len(content):,} bytes are no multiple of {BYTES}; it is cut off")
    x, y, high, middle, low = content.reshape(-1, BYTES).T.astype(np.int64)
    overflow = y == OVERFLOW_ROW
    t = ((high & 127) << 16 | middle << 8 | low) + OVERFLOW_US * np.cumsum(overflow)
    return Columns(t[~overflow], x[~overflow], y[~overflow], high[~overflow] >> 7, 1)
