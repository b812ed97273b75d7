"""What calibration looks at, in one pass over memory each: largest magnitudes, and counts of values in bins."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.scan.kernels.threads import compile_kernel, parts_of, run_tasks

FEW = 1 << 15
"""Values that are not worth another part."""
WIDTH = 64


@compile_kernel
def _peaks(bits, mask, found, start, stop):
    """Of each column the largest magnitude's bits, which have the order of the magnitudes, NaN above all."""
    for part in range(start, stop):
        highest = found[part]
        for row in range(len(bits) * part // len(found), len(bits) * (part + 1) // len(found)):
            values = bits[row]
            for i in range(len(values)):
                magnitude = values[i] & mask
                highest[i] = magnitude if magnitude > highest[i] else highest[i]


@compile_kernel
def _count(x, limit, scale, found, start, stop):
    """How many values lie in each bin of ``[-limit, limit)``."""
    for part in range(start, stop):
        counts = found[part]
        for value in x[len(x) * part // len(found) : len(x) * (part + 1) // len(found)]:
            counts[np.int64((np.float64(value) + limit) * scale)] += 1


def peaks(x: Tensor) -> NDArray[Any]:
    """The largest magnitude of each column of x (n, k), n > 0, float32 or float64; NaN where there is one."""
    wide = x.dtype == torch.float64
    integers, floats = (np.int64, np.float64) if wide else (np.int32, np.float32)
    source = x.detach().cpu().contiguous()
    found = np.zeros((_parts(source), source.shape[1]), dtype=integers)
    mask = integers(np.iinfo(integers).max)
    run_tasks(_peaks, len(found), source.numel(), source.numpy().view(integers), mask, found)
    return found.max(0).view(floats)


def peak(x: Tensor) -> float:
    """The largest magnitude of x, any shape but empty; NaN where there is one."""
    flat = x.detach().flatten()
    rest = len(flat) % WIDTH
    parts = [part for part in (flat[rest:].reshape(-1, WIDTH), flat[:rest].reshape(1, -1)) if part.numel()]
    return float(np.max([peaks(part).max() for part in parts]))


def count(x: Tensor, limit: float, bins: int) -> NDArray[np.int64]:
    """How many of the values x, any shape, lie in each of ``bins`` equal bins over ``[-limit, limit)``.

    ``limit`` and ``bins`` are powers of two, and all values lie between.
    """
    source = x.detach().cpu().flatten().contiguous()
    found = np.zeros((_parts(source), bins), dtype=np.int64)
    run_tasks(_count, len(found), source.numel(), source, limit, bins / (2 * limit), found)
    return found.sum(0)


def _parts(x: Tensor) -> int:
    return parts_of(x.numel() // FEW)
