"""Fake quantization and tables in one pass over memory, where PyTorch's operations take nine."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.scan.kernels.threads import compile_kernel, run_tasks


@compile_kernel
def _quantize(x, constants, out, inside, start, stop):
    """Values of codes, and which were not clipped; loops over views vectorise, those over a range of indices do not."""
    twice, half, unit, low, high = constants[0], constants[1], constants[2], constants[3], constants[4]
    source, values, kept = x[start:stop], out[start:stop], inside[start:stop]
    for i in range(len(source)):
        free = np.ceil(np.floor(source[i] * twice) * half)
        code = low if free < low else (high if free > high else free)
        values[i] = code * unit
        kept[i] = code == free


@compile_kernel
def _look_up(x, table, constants, out, start, stop):
    """``table[x scale - low]``."""
    scale, low, highest = constants[0], constants[1], np.int32(len(table) - 1)
    source, values = x[start:stop], out[start:stop]
    for i in range(len(source)):
        place = np.int32(source[i] * scale - low)
        place = np.int32(0) if place < 0 else (highest if place > highest else place)  # of NaN alone
        values[i] = table[place]


@compile_kernel
def _slope(x, grad, table, constants, out, start, stop):
    """``grad table[x scale - low]``."""
    scale, low, highest = constants[0], constants[1], np.int32(len(table) - 1)
    source, above, values = x[start:stop], grad[start:stop], out[start:stop]
    for i in range(len(source)):
        place = np.int32(source[i] * scale - low)
        place = np.int32(0) if place < 0 else (highest if place > highest else place)
        values[i] = above[i] * table[place]


def fits(x: Tensor) -> bool:
    """Whether the kernels take ``x``."""
    return x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)


def quantize_elements(x: Tensor, scale: float, low: int, high: int) -> tuple[Tensor, Tensor]:
    """``clip(floor(x scale + 1/2)) / scale`` of x, any shape, for powers of two; and where nothing clipped, bool."""
    source = x.detach().contiguous()
    values, inside = torch.empty_like(source), torch.empty(source.shape, dtype=torch.uint8)
    constants = _typed(source, 2 * scale, 0.5, 1 / scale, low, high)
    count = source.numel()
    run_tasks(_quantize, count, count, source.view(-1), constants, values.view(-1), inside.view(-1))
    return values, inside.view(torch.bool)


def look_up(x: Tensor, table: Tensor, scale: float, low: int) -> Tensor:
    """Entries of ``table`` (n,) at the codes ``x scale`` of values x, any shape, of which the lowest is ``low``."""
    source = x.detach().contiguous()
    values = torch.empty_like(source)
    count = source.numel()
    constants = _typed(source, scale, low)
    run_tasks(_look_up, count, count, source.view(-1), table.to(x.dtype), constants, values.view(-1))
    return values


def slope(x: Tensor, grad: Tensor, table: Tensor, scale: float, low: int) -> Tensor:
    """``grad`` times the entries of ``table`` that `look_up` gives."""
    source, above = x.detach().contiguous(), grad.contiguous()
    values = torch.empty_like(source)
    count = source.numel()
    constants = _typed(source, scale, low)
    run_tasks(_slope, count, count, source.view(-1), above.view(-1), table.to(x.dtype), constants, values.view(-1))
    return values


def _typed(x: Tensor, *constants: float) -> Any:
    """In the precision of x, so that kernels stay in it."""
    return np.array(constants, dtype=np.float32 if x.dtype == torch.float32 else np.float64)
