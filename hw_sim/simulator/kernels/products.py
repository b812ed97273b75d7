"""Products of a matrix and rows of inputs."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from ..compiled import kernel
from ..vectors import LANES, load, splat, store
from .tiles import COLUMNS, FEWER, PAIR, ROWS, WIDTH, least, narrow, part, single, whole


@kernel
def short_products(weights, w, x, u, size, rows, accs, a, stride):
    """``products`` in int32, tile by tile."""
    pairs, blocks = (size + PAIR - 1) // PAIR, stride // WIDTH
    block = WIDTH * pairs * PAIR
    m = 0
    while rows - m >= ROWS:
        inputs, sums, n = u + m * size, a + m * stride, 0
        while blocks - n >= COLUMNS:
            whole(weights, w + n * block, x, inputs, size, accs, sums + n * WIDTH, stride, pairs)
            n += COLUMNS
        while blocks - n >= FEWER:
            part(weights, w + n * block, x, inputs, size, accs, sums + n * WIDTH, stride, pairs)
            n += FEWER
        while n < blocks:
            narrow(weights, w + n * block, x, inputs, size, accs, sums + n * WIDTH, stride, pairs)
            n += 1
        m += ROWS
    while m < rows:
        inputs, sums, n = u + m * size, a + m * stride, 0
        while blocks - n >= 2 * FEWER:
            single(weights, w + n * block, x, inputs, size, accs, sums + n * WIDTH, stride, pairs)
            n += 2 * FEWER
        while n < blocks:
            least(weights, w + n * block, x, inputs, size, accs, sums + n * WIDTH, stride, pairs)
            n += 1
        m += 1


@kernel
def long_products(weights, w, x, u, size, rows, accs, a, stride):
    """``products`` in int64."""
    for m in range(rows):
        for r in range(0, stride, LANES):
            total, place = splat(0, accs), w + r * size
            for k in range(size):
                factor = splat(x[u + m * size + k], accs)
                total = total + load(weights, place + k * LANES, accs) * factor
            store(accs, a + m * stride + r, total, LANES)


def products(weights, w, x, u, size, rows, accs, a, stride):
    """``accs[a + m stride :] = W x_m`` of ``rows`` rows of ``size`` inputs, one behind the other from u on.

    Sums are ``stride`` entries, whole vectors. W is packed for its sums.
    """
    function = short_products if accs.dtype == np.int32 else long_products
    function(weights, w, x, u, size, rows, accs, a, stride)


@overload(products)
def _typed(weights, w, x, u, size, rows, accs, a, stride):
    function = short_products if accs.dtype == types.int32 else long_products

    def chosen(weights, w, x, u, size, rows, accs, a, stride):
        function(weights, w, x, u, size, rows, accs, a, stride)

    return chosen


def packed_long(weight: np.ndarray) -> np.ndarray:
    """Weights (O, K) as `long_products` takes them, (O / LANES, K, LANES), flat."""
    out, size = weight.shape
    full = np.zeros((-(-out // LANES) * LANES, size), dtype=np.int64)
    full[:out] = weight
    return full.reshape(-1, LANES, size).transpose(0, 2, 1).ravel()
