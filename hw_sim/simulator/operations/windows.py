"""Operations of event pools and read-outs."""

from __future__ import annotations

import numpy as np

from ..compiled import compiled
from ..kernels import plain as tier
from ..opcodes import (
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
    POOL_LAST,
    POOL_TIME,
    SATURATIONS,
    TAKE_FORGET,
    TAKE_LAST,
    TAKE_MEAN,
    TAKE_TIME,
    TAKE_WINDOW,
)
from ..views import fields


@compiled
def pool(record, values, outs, a64):
    """Mode, window, whether it divides, weights; phase, sum of weights, sums (C,), weighted sums (C,) in a64."""
    mode, window, divides, weights, phase, weight, sums, weighted = fields(record[BODY:], 8)
    size, low, high = record[OUT_CHANNELS], record[LOW], record[HIGH]
    rows, clipped = 0, 0
    for t in range(a64[record[IN_ROWS]]):
        x = values[record[IN] + t * size : record[IN] + (t + 1) * size]
        if a64[phase] == 0 or mode == POOL_LAST:
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
