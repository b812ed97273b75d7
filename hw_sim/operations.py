"""Operations of the simulator: a record's fields to kernel calls, row by row.

``values`` and ``accs`` are (a16, a32) for narrow operations and (a64, a64) for wide ones; counts, gaps, weights in time
and sums over events are always in a64. Fields after BODY are listed in each docstring.
"""

from __future__ import annotations

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple as fields

from .compiled import compiled
from .kernels import plain as tier
from .opcodes import (
    BODY,
    H_ARRIVED,
    H_DIRTY,
    HIGH,
    IN,
    IN_CHANNELS,
    IN_ROWS,
    LOW,
    OUT,
    OUT_CHANNELS,
    OUT_ROWS,
    POOL_FIRST,
    POOL_TIME,
    SATURATIONS,
    TAKE_FORGET,
    TAKE_LAST,
    TAKE_MEAN,
    TAKE_TIME,
    TAKE_WINDOW,
)


@compiled
def table(record, values, a64):
    """Table, saturations by token or -1."""
    size, counts = record[OUT_CHANNELS], record[BODY + 1]
    for t in range(a64[record[IN_ROWS]]):
        token = a64[record[IN] + t]
        source = record[BODY] + token * size
        place = record[OUT] + t * size
        values[place : place + size] = values[source : source + size]
        if counts >= 0:
            a64[record[SATURATIONS]] += a64[counts + token]


@compiled
def linear(record, values, accs, a64):
    """Bias, left, half, right, scratch; operand count; by operand: edge, channels, weights, diagonal, shifts."""
    out, low, high = record[OUT_CHANNELS], record[LOW], record[HIGH]
    bias, left, half, right, scratch, operands = fields(record[BODY:], 6)
    acc = accs[scratch : scratch + out]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = accs[bias : bias + out]
        for i in range(operands):
            edge, size, weights, diagonal, shifts = fields(record[BODY + 6 + 5 * i :], 5)
            x = values[edge + t * size : edge + t * size + size]
            shift = accs[shifts : shifts + out]
            if diagonal == 1:
                tier.scale(values[weights : weights + out], x, shift, acc)
            else:
                tier.matvec(values[weights : weights + out * size].reshape((out, size)), x, shift, acc)
        place = record[OUT] + t * out
        a64[record[SATURATIONS]] += tier.round_store(
            acc,
            accs[left : left + out],
            accs[half : half + out],
            accs[right : right + out],
            low,
            high,
            values[place : place + out],
        )


@compiled
def lookup(record, values, a64):
    """Table, the lowest input code."""
    entries, least = record[BODY], record[BODY + 1]
    for i in range(a64[record[IN_ROWS]] * record[OUT_CHANNELS]):
        values[record[OUT] + i] = values[entries + values[record[IN] + i] - least]


@compiled
def multiply(record, values, accs, a64):
    """Second operand's edge, left, half, right."""
    size = a64[record[IN_ROWS]] * record[OUT_CHANNELS]
    second, left, half, right = fields(record[BODY:], 4)
    a64[record[SATURATIONS]] += tier.multiply(
        values[record[IN] : record[IN] + size],
        values[second : second + size],
        left,
        half,
        right,
        record[LOW],
        record[HIGH],
        values[record[OUT] : record[OUT] + size],
        accs,
    )


@compiled
def add(record, values, accs, a64):
    """Left, half, right, scratch, operand count; by operand: edge, left shift."""
    size = record[OUT_CHANNELS]
    left, half, right, scratch, operands = fields(record[BODY:], 5)
    acc = accs[scratch : scratch + size]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = 0
        for i in range(operands):
            x = record[BODY + 5 + 2 * i] + t * size
            tier.add_shifted(values[x : x + size], record[BODY + 6 + 2 * i], acc)
        place = record[OUT] + t * size
        a64[record[SATURATIONS]] += tier.round_store_uniform(
            acc, left, half, right, record[LOW], record[HIGH], values[place : place + size]
        )


@compiled
def batch_norm(record, values, accs, a64):
    """Multiplier, bias, left, half, right, zero shifts, scratch."""
    size = record[OUT_CHANNELS]
    multiplier, bias, left, half, right, zeros, scratch = fields(record[BODY:], 7)
    acc = accs[scratch : scratch + size]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = accs[bias : bias + size]
        x, place = record[IN] + t * size, record[OUT] + t * size
        tier.scale(values[multiplier : multiplier + size], values[x : x + size], accs[zeros : zeros + size], acc)
        a64[record[SATURATIONS]] += tier.round_store(
            acc,
            accs[left : left + size],
            accs[half : half + size],
            accs[right : right + size],
            record[LOW],
            record[HIGH],
            values[place : place + size],
        )


@compiled
def layer_norm(record, values, a64):
    """Gamma, its length, beta, its length, a, b, c, root shift, epsilon."""
    size = record[OUT_CHANNELS]
    gamma, gammas, beta, betas, a, b, c, root_shift, epsilon = fields(record[BODY:], 9)
    for t in range(a64[record[IN_ROWS]]):
        x, place = record[IN] + t * size, record[OUT] + t * size
        a64[record[SATURATIONS]] += tier.layer_norm(
            values[x : x + size],
            a64[gamma : gamma + gammas],
            a64[beta : beta + betas],
            a,
            b,
            c,
            root_shift,
            epsilon,
            record[LOW],
            record[HIGH],
            values[place : place + size],
        )


@compiled
def ssm(record, values, accs, a64):
    """Fields, P modes, Q = 2 P: gaps, longest gap, clipped-gap counter, modes, zoh; drive table by token or -1, token;
    weights (Q, H), bias, zero shifts, left, half, right, drive scratch (Q,); state (Q,), its lowest and highest code;
    decay codes (J, 2, P), half and exponent (J, P); read half and shift; state trace or -1.
    """
    (gaps, longest, clips, modes, hold, drives, token, weights, bias, zeros, left, half, right, scratch) = fields(
        record[BODY:], 14
    )
    state, low, high, decay, decay_half, exponent, read_half, read_right, trace = fields(record[BODY + 14 :], 9)
    q, size = 2 * modes, record[IN_CHANNELS]
    x, re, im = values[state : state + q], values[state : state + modes], values[state + modes : state + q]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        gap = a64[gaps + t]
        if gap > longest:
            gap = longest
            a64[clips] += 1
        if drives >= 0:
            row = drives + a64[token + t] * q
            v = accs[row : row + q]
        else:
            v = accs[scratch : scratch + q]
        if drives < 0 and (hold == 0 or gap > 0):
            v[:] = accs[bias : bias + q]
            u = record[IN] + t * size
            tier.matvec(
                values[weights : weights + q * size].reshape((q, size)),
                values[u : u + size],
                accs[zeros : zeros + q],
                v,
            )
            tier.round_in_place(v, accs[left : left + q], accs[half : half + q], accs[right : right + q])
        if hold == 1 and gap > 0:
            clipped += tier.add_to_state(x, v, 1, low, high)
        digit, rest = 0, gap
        while rest > 0:
            if rest & 1 == 1:
                d, e = decay + digit * q, digit * modes
                clipped += tier.decay_step(
                    re,
                    im,
                    values[d : d + modes],
                    values[d + modes : d + q],
                    accs[decay_half + e : decay_half + e + modes],
                    accs[exponent + e : exponent + e + modes],
                    low,
                    high,
                )
            digit += 1
            rest >>= 1
        if hold == 0:
            clipped += tier.add_to_state(x, v, 1, low, high)
        elif gap > 0:
            clipped += tier.add_to_state(x, v, -1, low, high)
        place = record[OUT] + t * q
        if read_right == 0 and record[LOW] <= low and record[HIGH] >= high:
            values[place : place + q] = x
        else:
            clipped += tier.read_state(x, read_half, read_right, record[LOW], record[HIGH], values[place : place + q])
        if trace >= 0:
            for i in range(q):
                a64[trace + t * q + i] = x[i]
    a64[record[SATURATIONS]] += clipped


@compiled
def pool(record, values, outs, a64):
    """Mode, window, whether it divides, weights; phase, sum of weights, sums (C,), weighted sums (C,) in a64."""
    mode, window, divides, weights, phase, weight, sums, weighted = fields(record[BODY:], 8)
    size, low, high = record[OUT_CHANNELS], record[LOW], record[HIGH]
    rows, clipped = 0, 0
    for t in range(a64[record[IN_ROWS]]):
        x = values[record[IN] + t * size : record[IN] + (t + 1) * size]
        if a64[phase] == 0:
            a64[weight] = 0
            for c in range(size):
                a64[sums + c] = x[c]
                a64[weighted + c] = 0
        elif mode != POOL_FIRST:
            for c in range(size):
                a64[sums + c] += x[c]
        if mode == POOL_TIME:
            w = a64[weights + t]
            a64[weight] += w
            for c in range(size):
                a64[weighted + c] += w * x[c]
        a64[phase] += 1
        if a64[phase] == window:
            a64[phase] = 0
            by_time = mode == POOL_TIME and a64[weight] > 0
            place = record[OUT] + rows * size
            for c in range(size):
                y = a64[weighted + c] if by_time else a64[sums + c]
                if divides == 1:
                    y = tier.divide(y, a64[weight] if by_time else window)
                stored = tier.clip_one(y, low, high)
                clipped += stored != y
                outs[place + c] = stored
            rows += 1
    a64[record[OUT_ROWS]] = rows
    a64[record[SATURATIONS]] += clipped


@compiled
def take(record, values, a64):
    """A read-out takes its rows. Mode, extra bits, window, decay shift, weights, gaps at full rate, their rows; count,
    sum of gaps, place in the ring; sums (C,), weighted sums or ring (window, C) or held value (C,).
    """
    mode, extra, window, shift, weights, gaps, gap_rows, count, weight, ring, sums, held = fields(record[BODY:], 12)
    size = record[IN_CHANNELS]
    if mode == TAKE_TIME and a64[gap_rows] > 0:
        for t in range(a64[gap_rows]):
            a64[weight] += a64[gaps + t]
        a64[H_DIRTY] = 1
    for t in range(a64[record[IN_ROWS]]):
        x = values[record[IN] + t * size : record[IN] + (t + 1) * size]
        if mode in (TAKE_MEAN, TAKE_TIME):
            for c in range(size):
                a64[sums + c] += x[c]
            if mode == TAKE_TIME:
                w = a64[weights + t]
                for c in range(size):
                    a64[held + c] += w * x[c]
        elif mode == TAKE_LAST:
            for c in range(size):
                a64[held + c] = np.int64(x[c]) << extra
        elif mode == TAKE_WINDOW:
            row = held + a64[ring] * size
            for c in range(size):
                a64[sums + c] += x[c] - a64[row + c]
                a64[row + c] = x[c]
            a64[ring] = (a64[ring] + 1) % window
        elif mode == TAKE_FORGET:
            half = np.int64(1) << (shift - 1)
            for c in range(size):
                scaled = np.int64(x[c]) << extra
                if a64[count] == 0:
                    a64[held + c] = scaled
                else:
                    a64[held + c] += (scaled - a64[held + c] + half) >> shift
        a64[count] += 1
        a64[H_ARRIVED] += 1
        a64[H_DIRTY] = 1


@compiled
def read(record, values, a64):
    """The value of a read-out as it stands; fields as in ``take``."""
    mode, extra, window, _, _, _, _, count, weight, _, sums, held = fields(record[BODY:], 12)
    clipped = 0
    for c in range(record[OUT_CHANNELS]):
        if mode in (TAKE_LAST, TAKE_FORGET):
            y = a64[held + c]
        elif mode == TAKE_TIME and a64[weight] > 0:
            y = tier.divide(a64[held + c] << extra, a64[weight])
        elif mode == TAKE_WINDOW:
            y = tier.divide(a64[sums + c] << extra, min(a64[count], window))
        else:
            y = tier.divide(a64[sums + c] << extra, a64[count])
        stored = tier.clip_one(y, record[LOW], record[HIGH])
        clipped += stored != y
        values[record[OUT] + c] = stored
    a64[record[OUT_ROWS]] = 1
    a64[record[SATURATIONS]] += clipped
