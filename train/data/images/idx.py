"""The IDX format of MNIST (LeCun et al. 1998), packed by gzip or not."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH

MOST_BYTES = 1 << 26
"""Of an unpacked file; MNIST's training images hold 47 MB."""
UNSIGNED_BYTES = 8
"""IDX's number of the only type that is read."""


def read_idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array of a file of unsigned bytes.

    Args:
        path: of the file; a name that ends in ``.gz`` is packed.
        axes: that the array has to have.

    Raises:
        PumiceError: the file is damaged, too large, or holds something else.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise PumiceError(f"{path} cannot be read ({error}); {CORRECT_OR_FETCH}") from error
    if len(content) > MOST_BYTES:
        raise PumiceError(f"{path} holds more than {MOST_BYTES:,} bytes; {CORRECT_OR_FETCH}")
    head = 4 + 4 * axes
    if len(content) < head or content[:4] != bytes([0, 0, UNSIGNED_BYTES, axes]):
        raise PumiceError(f"{path} is no IDX file of unsigned bytes with {axes} axes; {CORRECT_OR_FETCH}")
    shape = struct.unpack(f">{axes}I", content[4:head])
    if len(content) - head != prod(shape):
        raise PumiceError(
            f"{path} declares {shape}, but holds {len(content) - head:,} bytes of values; {CORRECT_OR_FETCH}"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
