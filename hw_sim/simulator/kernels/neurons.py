"""Kernels of spiking neurons and leaky integrators, as those of ``plain.py``; most keep states in int64."""

from __future__ import annotations

import numpy as np

from ..compiled import compiled

GROUP = 8
"""Rows that ``add_rows`` adds at a time."""


@compiled
def find_nonzero(x, filling, places):
    """Write the places of what is not 0 in ``x`` (F,), then ``filling`` up to a multiple of GROUP; returns how many.

    ``places`` has room for F + GROUP entries.
    """
    count = 0
    for i in range(x.shape[0]):
        places[count] = i
        count += x[i] != 0
    for i in range(count, count + GROUP):
        places[i] = filling
    return count


@compiled
def add_rows(matrix, places, count, acc):
    """``acc`` (S,) plus the rows of ``matrix`` (F + 1, S) at ``places[:count]``; the row F, of zeros, fills groups up.

    The sum of GROUP rows has to fit the type of ``matrix``.
    """
    integer, narrow = acc.dtype.type, matrix.dtype.type
    for n in range(0, count, GROUP):
        a, b, c, d = matrix[places[n]], matrix[places[n + 1]], matrix[places[n + 2]], matrix[places[n + 3]]
        e, f, g, h = matrix[places[n + 4]], matrix[places[n + 5]], matrix[places[n + 6]], matrix[places[n + 7]]
        for i in range(acc.shape[0]):
            first = narrow(narrow(a[i] + b[i]) + narrow(c[i] + d[i]))
            second = narrow(narrow(e[i] + f[i]) + narrow(g[i] + h[i]))
            acc[i] = integer(acc[i] + integer(narrow(first + second)))


@compiled
def add_scaled_rows(matrix, x, places, count, acc):
    """``acc`` (S,) plus ``x_i`` times row i of ``matrix`` (F + 1, S) for every i in ``places[:count]``."""
    integer = acc.dtype.type
    for n in range(count):
        row, factor = matrix[places[n]], integer(x[places[n]])
        for i in range(acc.shape[0]):
            acc[i] = integer(acc[i] + integer(integer(row[i]) * factor))


@compiled
def current(driven, driven_shift, back, back_shift, bias, left, half, right):
    """``driven = rhu((driven << driven_shift) + (back << back_shift) + bias)``, (S,) each."""
    integer = driven.dtype.type
    for i in range(driven.shape[0]):
        total = integer(integer(driven[i] << driven_shift[i]) + integer(back[i] << back_shift[i]))
        total = integer(integer(total + bias[i]) << left[i])
        driven[i] = integer(integer(total + half[i]) >> right[i])


@compiled
def lif(current, u, z, alpha, rise, threshold, shifts, low, high):
    """One step of LIF neurons, (S,) each: ``u`` and ``z`` become those of this step. Returns how many were clipped.

    ``shifts``: left of alpha u and of rise I, then half and right of their sum. The arithmetic is int64.
    """
    decayed, driven, half, right = shifts[0], shifts[1], shifts[2], shifts[3]
    clipped = 0
    for i in range(u.shape[0]):
        total = (np.int64(alpha[i]) * np.int64(u[i])) << decayed
        total += (np.int64(rise[i]) * np.int64(current[i])) << driven
        v = (total + half) >> right
        s = min(max(v, low), high)
        clipped += s != v
        fired = s > threshold[i]
        z[i] = fired
        u[i] = 0 if fired else s
    return clipped


@compiled
def driven_lif(arriving, u, z, alpha, half, right, threshold, low, high):
    """One step of neurons that a current drives, (H,) each: ``u``, ``z`` become those of this step; returns as ``lif``.

    ``half`` and ``right`` are the shift's of alpha u.
    """
    integer = alpha.dtype.type
    least, most, half, right = integer(low), integer(high), integer(half), integer(right)
    clipped = integer(0)
    for i in range(u.shape[0]):
        kept = integer(integer(integer(alpha[i] * integer(u[i])) + half) >> right)
        v = integer(kept + integer(arriving[i]))
        s = min(max(v, least), most)
        clipped = integer(clipped + integer(s != v))
        fired = s > threshold[i]
        z[i] = fired
        u[i] = integer(0) if fired else s
    return clipped


@compiled
def adaptive_lif(
    current, u, w, z, alpha, rise, threshold, beta, coupling, jump, shifts, low, high, w_shifts, w_low, w_high, ahead
):
    """One step of adaptive LIF neurons, (S,) each: ``u``, ``w``, ``z`` become those of this step; returns as ``lif``.

    ``shifts``: left of I and of w; of alpha u and of rise (I - w), then half and right of their sum. ``w_shifts``: left
    of beta w, coupling u and jump z, then half and right. ``ahead`` 1: w sees u and z of this step, 0: those before.
    """
    own, adapted, decayed, driven, half, right = shifts[0], shifts[1], shifts[2], shifts[3], shifts[4], shifts[5]
    kept, coupled, jumped, w_half, w_right = w_shifts[0], w_shifts[1], w_shifts[2], w_shifts[3], w_shifts[4]
    clipped = 0
    for i in range(u.shape[0]):
        u_before, z_before, w_before = np.int64(u[i]), np.int64(z[i]), np.int64(w[i])
        drive = (np.int64(current[i]) << own) - (w_before << adapted)
        total = ((np.int64(alpha[i]) * u_before) << decayed) + ((np.int64(rise[i]) * drive) << driven)
        v = (total + half) >> right
        s = min(max(v, low), high)
        clipped += s != v
        fired = np.int64(s > threshold[i])
        kept_u = s * (1 - fired)
        u[i] = kept_u
        z[i] = fired
        seen_u = kept_u if ahead == 1 else u_before
        seen_z = fired if ahead == 1 else z_before
        total = ((np.int64(beta[i]) * w_before) << kept) + ((np.int64(coupling[i]) * seen_u) << coupled)
        total += (np.int64(jump[i]) * seen_z) << jumped
        v = (total + w_half) >> w_right
        s = min(max(v, w_low), w_high)
        clipped += s != v
        w[i] = s
    return clipped


@compiled
def integrate(driven, driven_shift, bias, o, decay, decay_shift, left, half, right, low, high):
    """``o = sat(rhu((decay o << decay_shift) + (driven << driven_shift) + bias))``, (S,) each, in int64.

    Returns how many were clipped.
    """
    clipped = 0
    for i in range(o.shape[0]):
        total = (np.int64(decay[i]) * np.int64(o[i])) << decay_shift[i]
        total += (np.int64(driven[i]) << driven_shift[i]) + bias[i]
        v = ((total << left[i]) + half[i]) >> right[i]
        s = min(max(v, low), high)
        clipped += s != v
        o[i] = s
    return clipped


@compiled
def loihi(driven, back, exponent, u, v, z, bias, keep_u, keep_v, threshold, limit, decay_bits, alignment):
    """One step of LoihiLIF neurons, (S,) each: ``u``, ``v`` and ``z`` become those of this step; see the node.

    ``bias`` and ``threshold`` are aligned; ``keep_u`` and ``keep_v`` what is left of ``2**decay_bits``. Returns how
    often u wrapped or v clipped.
    """
    lost = 0
    for i in range(u.shape[0]):
        first, second = np.int64(driven[i]), np.int64(back[i])
        arriving = (first + second) << exponent if exponent > 0 else (first >> -exponent) + (second >> -exponent)
        whole = truncated(u[i] * keep_u[i], decay_bits) + (arriving << alignment)
        wrapped = whole - 2 * limit if whole > limit else whole
        wrapped = wrapped + 2 * limit if wrapped <= -limit else wrapped
        free = truncated(v[i] * keep_v[i], decay_bits) + wrapped + bias[i]
        potential = min(max(free, 1 - limit), limit - 1)
        lost += int(wrapped != whole) + int(potential != free)  # two booleans of numpy add up to one
        fired = potential > threshold[i]
        u[i] = wrapped
        v[i] = 0 if fired else potential
        z[i] = fired
    return lost


@compiled
def truncated(product, bits):
    """``product / 2**bits`` towards zero."""
    return product >> bits if product >= 0 else -(-product >> bits)
