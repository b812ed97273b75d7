"""Kernels of rows of integers, of which operations are made; arrays come with the place where a row starts.

Every kernel is generic over its integer types: (int16 values, int32 accumulators) where the bounds allow it, else
(int64, int64); arithmetic is in the accumulators' type. Shifts to the right round half up by a term that is added
before: ``(v + half) >> right``. Rows of constants and sums are zeros up to whole vectors; what saturates is counted.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled, kernel
from ..vectors import (
    LANES,
    choose,
    first,
    floor,
    integers,
    load,
    maximum,
    minimum,
    reals,
    splat,
    store,
    tally,
    total,
)


@kernel
def padded(size):
    """``size`` up to whole vectors."""
    return (size + LANES - 1) // LANES * LANES


@kernel
def copy(source, at, to, place, size):
    """``size`` entries of an array to another, in the type of that."""
    for r in range(0, size, LANES):
        store(to, place + r, load(source, at + r, to), size - r)


@kernel
def clear(accs, at, size):
    """Zeros, whole vectors of them."""
    for r in range(0, size, LANES):
        store(accs, at + r, splat(0, accs), LANES)


@kernel
def decay_step(re, im, values, turn, growth, accs, half, exponent, least, most, clipped):
    """``x = sat(x + rhu(d x))``, complex, both components from the old x; of one vector of modes."""
    a, b = load(values, growth, accs), load(values, turn, accs)
    added, right = load(accs, half, accs), load(accs, exponent, accs)
    v = re + ((a * re - b * im + added) >> right)
    w = im + ((a * im + b * re + added) >> right)
    s, t = minimum(maximum(v, least), most), minimum(maximum(w, least), most)
    return s, t, clipped + tally(s != v, LANES, accs) + tally(t != w, LANES, accs)


@kernel
def decay_step_real(x, values, growth, accs, half, exponent, least, most, clipped):
    """``x = sat(x + rhu(d x))`` of one vector of real modes."""
    v = x + ((load(values, growth, accs) * x + load(accs, half, accs)) >> load(accs, exponent, accs))
    s = minimum(maximum(v, least), most)
    return s, clipped + tally(s != v, LANES, accs)


@compiled
def layer_norm(x, u, gamma, g, beta, b, shifts, root_shift, epsilon, low, high, out, place, size, like, holding):
    """LayerNorm of one row (H,), see the node; ``g`` and ``b`` are -1 without a gamma or beta. Returns how many were
    clipped; ``like`` is an array of int64, ``holding`` one of a type that holds an entry of the row.

    The rounded quotient is taken in float64 and corrected by its exact remainder: all its integers lie below 2**53,
    and the estimate ``n * (1 / d)`` is off by less than one before the floor.
    """
    summed, squared = splat(0, like), splat(0, like)
    for r in range(0, size, LANES):
        row = first(load(x, u + r, like), size - r)
        summed = summed + row
        squared = squared + row * row
    sum_of_row = total(summed)
    radicand = (size * total(squared) - sum_of_row * sum_of_row + epsilon) << (2 * root_shift)
    root = np.int64(np.sqrt(np.float64(radicand)))
    if root * root > radicand:
        root -= 1
    if (root + 1) * (root + 1) <= radicand:
        root += 1
    quotient = max(root << shifts[2], np.int64(1))
    half, denominator = reals(splat(quotient, like)), reals(splat(2 * quotient, like))
    inverse = splat(1.0 / (2.0 * quotient), half)
    least, most = reals(splat(low, like)), reals(splat(high, like))
    offset, scale = reals(splat(root << shifts[1], like)), reals(splat(np.int64(1) << shifts[0], like))
    times, mean = reals(splat(size, like)), reals(splat(sum_of_row, like))
    one, none = reals(splat(1, like)), reals(splat(0, like))
    clipped = splat(0, like)
    for r in range(0, size, LANES):
        p = (times * reals(load(x, u + r, holding)) - mean) * scale
        if g >= 0:
            p = p * reals(load(gamma, g + r, like))
        if b >= 0:
            p = p + reals(load(beta, b + r, like)) * offset
        numerator = p + p + half
        y = floor(numerator * inverse)
        remainder = numerator - y * denominator
        y = choose(remainder >= denominator, y + one, y)
        y = choose(none > remainder, y - one, y)
        s = minimum(maximum(y, least), most)
        clipped = clipped + tally(s != y, size - r, like)
        store(out, place + r, integers(s, like), size - r)
    return total(clipped)


@kernel
def divide(p, q):
    """``floor((2p + q) / (2q))`` with q at least 1, exact for negative p."""
    q = max(q, np.int64(1))
    return (2 * p + q) // (2 * q)


@kernel
def clip_one(value, low, high):
    """``value`` within ``[low, high]``."""
    return min(max(value, low), high)
