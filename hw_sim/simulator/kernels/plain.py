"""The plain tier: one row of one node at a time, in numba.

Every kernel is generic over its integer types: (int16 values, int32 accumulators) where the bounds allow it, else
(int64, int64). The accumulator's type is taken from an array, and every intermediate is cast to it, since numba would
promote int32 to int64 and lose the vector units. Shifts come as three arrays so that one line serves every direction:
``((v << left) + half) >> right``.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled


@compiled
def matvec(weight, x, shift, acc):
    """``acc += (W x) << shift``. Shapes: weight (R, K), x (K,), shift and acc (R,)."""
    integer = acc.dtype.type
    for r in range(weight.shape[0]):
        row = weight[r]
        total = integer(0)
        for i in range(row.shape[0]):
            total = integer(total + integer(row[i]) * integer(x[i]))
        acc[r] = integer(acc[r] + integer(total << shift[r]))


@compiled
def scale(weight, x, shift, acc):
    """``acc += (w * x) << shift`` for a diagonal matrix. Shapes: all (R,)."""
    integer = acc.dtype.type
    for r in range(acc.shape[0]):
        acc[r] = integer(acc[r] + integer(integer(integer(weight[r]) * integer(x[r])) << shift[r]))


@compiled
def round_store(acc, left, half, right, low, high, out):
    """``out = sat(rhu(acc))``, (R,) each; returns how many were clipped."""
    integer = acc.dtype.type
    least, most = integer(low), integer(high)
    clipped = integer(0)
    for r in range(out.shape[0]):
        v = integer(integer(integer(acc[r] << left[r]) + half[r]) >> right[r])
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        out[r] = s
    return clipped


@compiled
def round_in_place(acc, left, half, right):
    """``acc = rhu(acc)``, (R,) each."""
    integer = acc.dtype.type
    for r in range(acc.shape[0]):
        acc[r] = integer(integer(integer(acc[r] << left[r]) + half[r]) >> right[r])


@compiled
def multiply(a, b, left, half, right, low, high, out, acc):
    """``out = sat(rhu(a b))``, (R,) each; ``acc`` names the accumulator's type alone."""
    integer = acc.dtype.type
    least, most, up, half, right = integer(low), integer(high), integer(left), integer(half), integer(right)
    clipped = integer(0)
    for r in range(out.shape[0]):
        product = integer(integer(a[r]) * integer(b[r]))
        v = integer(integer(integer(product << up) + half) >> right)
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        out[r] = s
    return clipped


@compiled
def add_shifted(x, shift, acc):
    """``acc += x << shift``, (R,) each, one shift for all."""
    integer = acc.dtype.type
    by = integer(shift)
    for r in range(acc.shape[0]):
        acc[r] = integer(acc[r] + integer(integer(x[r]) << by))


@compiled
def round_store_uniform(acc, left, half, right, low, high, out):
    """``out = sat(rhu(acc))`` with one shift for all."""
    integer = acc.dtype.type
    least, most, up, half, right = integer(low), integer(high), integer(left), integer(half), integer(right)
    clipped = integer(0)
    for r in range(out.shape[0]):
        v = integer(integer(integer(acc[r] << up) + half) >> right)
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        out[r] = s
    return clipped


@compiled
def add_to_state(state, drive, sign, low, high):
    """``state = sat(state + sign * drive)``, (R,) each; ``sign`` is 1 or -1."""
    integer = drive.dtype.type
    least, most, sign = integer(low), integer(high), integer(sign)
    clipped = integer(0)
    for r in range(state.shape[0]):
        v = integer(integer(state[r]) + integer(sign * drive[r]))
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        state[r] = s
    return clipped


@compiled
def drive_state(state, drive, left, half, right, low, high):
    """``state = sat(state + rhu(drive))``, (R,) each."""
    integer = left.dtype.type
    least, most = integer(low), integer(high)
    clipped = integer(0)
    for r in range(state.shape[0]):
        moved = integer(integer(integer(integer(drive[r]) << left[r]) + half[r]) >> right[r])
        v = integer(integer(state[r]) + moved)
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        state[r] = s
    return clipped


@compiled
def add_products(a, b, acc):
    """``acc += a b``, (R,) each."""
    integer = acc.dtype.type
    for r in range(acc.shape[0]):
        acc[r] = integer(acc[r] + integer(integer(a[r]) * integer(b[r])))


@compiled
def shift_and_add(acc, left, added):
    """``acc = (acc << left) + added``, (R,) each."""
    integer = acc.dtype.type
    for r in range(acc.shape[0]):
        acc[r] = integer(integer(acc[r] << left[r]) + added[r])


@compiled
def decay_step(re, im, d_re, d_im, half, exponent, low, high):
    """``x = sat(x + rhu(d x))``, complex, both components from the old x. Shapes: all (P,)."""
    integer = half.dtype.type
    least, most = integer(low), integer(high)
    clipped = integer(0)
    for p in range(re.shape[0]):
        r, i = integer(re[p]), integer(im[p])
        a, b = integer(d_re[p]), integer(d_im[p])
        step_re = integer(integer(integer(integer(a * r) - integer(b * i)) + half[p]) >> exponent[p])
        step_im = integer(integer(integer(integer(a * i) + integer(b * r)) + half[p]) >> exponent[p])
        v, w = integer(r + step_re), integer(i + step_im)
        s, t = min(max(v, least), most), min(max(w, least), most)
        clipped = integer(clipped + integer(s != v) + integer(t != w))
        re[p] = s
        im[p] = t
    return clipped


@compiled
def decay_step_real(x, d, half, exponent, low, high):
    """``x = sat(x + rhu(d x))`` of real modes. Shapes: all (P,)."""
    integer = half.dtype.type
    least, most = integer(low), integer(high)
    clipped = integer(0)
    for p in range(x.shape[0]):
        old = integer(x[p])
        step = integer(integer(integer(integer(d[p]) * old) + half[p]) >> exponent[p])
        v = integer(old + step)
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        x[p] = s
    return clipped


@compiled
def layer_norm(x, gamma, beta, a, b, c, root_shift, epsilon, low, high, out):
    """LayerNorm of one row (H,), see the node; gamma and beta (H,) or empty. Returns how many were clipped.

    The rounded quotient is taken in float64 and corrected by its exact remainder: all its integers lie below 2**53,
    and the estimate ``n * (1 / d)`` is off by less than one before the floor.
    """
    size = x.shape[0]
    total, squares = np.int64(0), np.int64(0)
    for r in range(size):
        total += np.int64(x[r])
        squares += np.int64(x[r]) * np.int64(x[r])
    radicand = (size * squares - total * total + epsilon) << (2 * root_shift)
    root = np.int64(np.sqrt(np.float64(radicand)))
    if root * root > radicand:
        root -= 1
    if (root + 1) * (root + 1) <= radicand:
        root += 1
    quotient = max(root << c, np.int64(1))
    denominator = 2.0 * quotient
    inverse = 1.0 / denominator
    least, most = np.float64(low), np.float64(high)
    offset = np.float64(root << b)
    scale = np.float64(np.int64(1) << a)
    clipped = np.int32(0)
    for r in range(size):
        p = np.float64(size * np.int64(x[r]) - total) * scale
        if gamma.shape[0] > 0:
            p = p * np.float64(gamma[r])
        if beta.shape[0] > 0:
            p = p + np.float64(beta[r]) * offset
        numerator = 2.0 * p + quotient
        y = np.floor(numerator * inverse)
        remainder = numerator - y * denominator
        if remainder < 0.0:
            y -= 1.0
        elif remainder >= denominator:
            y += 1.0
        s = min(max(y, least), most)
        clipped += np.int32(s != y)
        out[r] = np.int64(s)
    return clipped


@compiled
def divide(p, q):
    """``floor((2p + q) / (2q))`` with q at least 1, exact for negative p."""
    q = max(q, np.int64(1))
    return (2 * p + q) // (2 * q)


@compiled
def clip_one(value, low, high):
    """``value`` within ``[low, high]``."""
    return min(max(value, low), high)


@compiled
def read_state(state, half, right, low, high, out):
    """``out = sat(rhu(state / 2**right))``, (R,) each."""
    clipped = np.int32(0)
    for r in range(state.shape[0]):
        v = (np.int64(state[r]) + half) >> right
        s = min(max(v, low), high)
        clipped += np.int32(s != v)
        out[r] = s
    return clipped
