"""The LayerNorm node without gamma and beta, on values: integers forward, the real function's gradient backward."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...models.scan.kernels.threads import compile_kernel, run_tasks


@compile_kernel
def _normalise(x, integers, scales, out, inside, moments, start, stop):
    """Rows of x. ``integers``: root shift, epsilon, the numerator's shift, low, high; ``scales``: of x's codes, of y's.

    ``moments`` receives each row's mean and one over its deviation, for the gradient. The rounded quotient is taken
    in float64 and corrected by its exact remainder: all its integers lie below 2**52, and the estimate by the inverse
    is off by less than one before the floor.
    """
    width = x.shape[1]
    root_shift, epsilon = integers[0], integers[1]
    times = np.float64(np.int64(1) << integers[2])
    low, high = np.float64(integers[3]), np.float64(integers[4])
    scale, unit, size = scales[0], scales[1], np.float64(width)
    codes = np.empty(width, np.int32)
    for row in range(start, stop):
        source, values, kept = x[row], out[row], inside[row]
        summed, squares = np.int64(0), np.int64(0)  # sums of integers vectorise
        for i in range(width):
            codes[i] = np.int32(np.floor(np.float64(source[i]) * scale + 0.5))
        for i in range(width):
            summed += np.int64(codes[i])
        for i in range(width):
            squares += np.int64(codes[i]) * np.int64(codes[i])
        variance = width * squares - summed * summed + epsilon
        moments[row, 0] = summed / (size * scale)
        moments[row, 1] = size * scale / np.sqrt(np.float64(variance))
        radicand = variance << (2 * root_shift)
        total = np.float64(summed)
        root = np.int64(np.sqrt(np.float64(radicand)))
        if root * root > radicand:
            root -= 1
        if (root + 1) * (root + 1) <= radicand:
            root += 1
        half = np.float64(max(root, 1))
        inverse = 0.5 / half
        for i in range(width):
            numerator = 2.0 * (size * np.float64(codes[i]) - total) * times + half
            y = np.floor(numerator * inverse)
            rest = numerator - y * (2.0 * half)
            y = y + 1.0 if rest >= 2.0 * half else (y - 1.0 if rest < 0.0 else y)
            code = low if y < low else (high if y > high else y)
            values[i] = code * unit
            kept[i] = code == y


@partial(compile_kernel, reassociate=True)
def _undo(x, inside, moments, grad, out, start, stop):
    """With u = (x - mean) / s and g the gradient of u where nothing clipped: (g - mean(g) - u mean(g u)) / s."""
    width = x.shape[1]
    one = moments.dtype.type(1)
    unit, masked = np.empty(width, x.dtype), np.empty(width, x.dtype)
    for row in range(start, stop):
        source, kept, above, values = x[row], inside[row], grad[row], out[row]
        mean, factor = moments[row, 0], moments[row, 1]
        first, second = one - one, one - one
        for i in range(width):
            unit[i] = (source[i] - mean) * factor
            masked[i] = above[i] if kept[i] else one - one
        for i in range(width):
            first += masked[i]
            second += masked[i] * unit[i]
        first /= width
        second /= width
        for i in range(width):
            values[i] = (masked[i] - first - unit[i] * second) * factor


def normalise(
    x: Tensor, root_shift: int, epsilon: int, shift: int, limits: tuple[int, int], scales: tuple[float, float]
) -> tuple[Tensor, Tensor, Tensor]:
    """The node's values of rows (..., H); where nothing was clipped, uint8; and what `undo` needs of each row, (n, 2).

    Args:
        x: values on a grid.
        root_shift, epsilon: see the node.
        shift: of the numerator, at least 0.
        limits: lowest and highest code.
        scales: what makes codes of x, and values of the result's codes.
    """
    source = x.detach().contiguous()
    rows = source.view(-1, source.shape[-1])
    values, inside = torch.empty_like(source), torch.empty(rows.shape, dtype=torch.uint8)
    moments = source.new_empty(len(rows), 2)
    run_tasks(
        _normalise,
        len(rows),
        rows.numel(),
        rows,
        np.array([root_shift, epsilon, shift, *limits], dtype=np.int64),
        np.array(scales, dtype=np.float64),
        values.view(rows.shape),
        inside,
        moments,
    )
    return values, inside, moments


def undo(x: Tensor, inside: Tensor, moments: Tensor, grad: Tensor) -> Tensor:
    """The gradient of x (..., H), from that of what `normalise` gives."""
    source, above = x.detach().contiguous(), grad.contiguous()
    rows = source.view(-1, source.shape[-1])
    values = torch.empty_like(source)
    run_tasks(
        _undo,
        len(rows),
        rows.numel(),
        rows,
        inside,
        moments,
        above.view(rows.shape),
        values.view(rows.shape),
    )
    return values
