"""Operations of event pools and read-outs."""

from __future__ import annotations

import numpy as np

from ..kernels import plain as tier
from ..opcodes import (
    BODY,
    H_ARRIVED,
    H_DIRTY,
    H_FROM,
    H_UPTO,
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
from ..vectors import LANES, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation


@operation
def pool(at, x, y, z, a32, a64):
    """x: values; y: outputs; z: sums. Mode, window, whether it divides, weights; events of the input's rows and of the
    output's; phase and sum of weights in a64, sums (C,), weighted sums (C,); tokens whose rows of a table are pooled
    in place of the input's, or -1.
    """
    record, values, outs, accs, _, a64 = opened(at, x, y, z, a32, a64)
    mode, window, divides, weights, events, closing, phase, weight, sums, weighted, tokens = fields(record, BODY, 11)
    size, low, high, out = record[OUT_CHANNELS], record[LOW], record[HIGH], record[OUT]
    least, most = splat(low, accs), splat(high, accs)
    clipped = splat(0, accs)
    t, rows, divided = 0, 0, 0
    while t < a64[record[IN_ROWS]]:
        before = a64[phase]
        stop = min(t + window - before, a64[record[IN_ROWS]])
        closes = before + stop - t == window
        start = stop - 1 if mode == POOL_LAST else t
        until = start + (before == 0) if mode == POOL_FIRST else stop
        for r in range(0, size, LANES):
            acc = splat(0, accs)
            if before > 0 and mode != POOL_LAST:
                acc = load(accs, sums + r, accs)
            for k in range(start, until):
                acc = acc + load(values, record[IN] + (a64[tokens + k] if tokens >= 0 else k) * size + r, accs)
            store(accs, sums + r, acc, size - r)
            if closes and divides == 0:
                kept = minimum(maximum(acc, least), most)
                clipped = clipped + tally(kept != acc, size - r, accs)
                store(outs, out + rows * size + r, kept, size - r)
        if mode == POOL_TIME:
            if before == 0:
                a64[weight] = 0
                tier.clear(accs, weighted, size)
            for k in range(t, stop):
                w = a64[weights + k]
                a64[weight] += w
                row = record[IN] + (a64[tokens + k] if tokens >= 0 else k) * size
                for c in range(size):
                    accs[weighted + c] += w * values[row + c]
        a64[phase] = before + stop - t
        if closes:
            a64[phase] = 0
            if divides == 1:
                by_time = mode == POOL_TIME and a64[weight] > 0
                for c in range(size):
                    p = np.int64(accs[weighted + c] if by_time else accs[sums + c])
                    quotient = tier.divide(p, a64[weight] if by_time else window)
                    stored = tier.clip_one(quotient, low, high)
                    divided += int(stored != quotient)
                    outs[out + rows * size + c] = stored
            a64[closing + rows] = a64[events + stop - 1]
            rows += 1
        t = stop
    a64[record[OUT_ROWS]] = rows
    a64[record[SATURATIONS]] += total(clipped) + divided


@operation
def take(at, x, y, z, a32, a64):
    """A read-out takes its rows, those of events from H_FROM to before H_UPTO. x: values. Mode, extra bits, window,
    decay shift, weights; events of the rows, the next row; gaps at full rate, their rows, events, and next row; count,
    sum of gaps, place in the ring; sums (C,), weighted sums or ring (window, C) or held value (C,).
    """
    record, values, _, _, _, a64 = opened(at, x, y, z, a32, a64)
    mode, extra, window, shift, weights, events, cursor = fields(record, BODY, 7)
    gaps, gap_rows, gap_events, gap_cursor, count, weight, ring, sums, held = fields(record, BODY + 7, 9)
    size, upto = record[IN_CHANNELS], a64[H_UPTO]
    if a64[H_FROM] == 0:
        a64[cursor] = 0
        a64[gap_cursor] = 0
    if mode == TAKE_TIME:
        k = a64[gap_cursor]
        while k < a64[gap_rows] and a64[gap_events + k] < upto:
            a64[weight] += a64[gaps + k]
            a64[H_DIRTY] = 1
            k += 1
        a64[gap_cursor] = k
    t = a64[cursor]
    while t < a64[record[IN_ROWS]] and a64[events + t] < upto:
        row = record[IN] + t * size
        if mode in (TAKE_MEAN, TAKE_TIME):
            for c in range(size):
                a64[sums + c] += values[row + c]
            if mode == TAKE_TIME:
                w = a64[weights + t]
                for c in range(size):
                    a64[held + c] += w * values[row + c]
        elif mode == TAKE_LAST:
            for c in range(size):
                a64[held + c] = np.int64(values[row + c]) << extra
        elif mode == TAKE_WINDOW:
            old = held + a64[ring] * size
            for c in range(size):
                a64[sums + c] += values[row + c] - a64[old + c]
                a64[old + c] = values[row + c]
            a64[ring] = (a64[ring] + 1) % window
        elif mode == TAKE_FORGET:
            half = np.int64(1) << (shift - 1)
            for c in range(size):
                scaled = np.int64(values[row + c]) << extra
                if a64[count] == 0:
                    a64[held + c] = scaled
                else:
                    a64[held + c] += (scaled - a64[held + c] + half) >> shift
        a64[count] += 1
        a64[H_ARRIVED] += 1
        a64[H_DIRTY] = 1
        t += 1
    a64[cursor] = t


@operation
def read(at, x, y, z, a32, a64):
    """The value of a read-out as it stands; x: outputs; fields as in ``take``."""
    record, values, _, _, _, a64 = opened(at, x, y, z, a32, a64)
    mode, extra, window = fields(record, BODY, 3)
    count, weight, _, sums, held = fields(record, BODY + 11, 5)
    clipped = 0
    for c in range(record[OUT_CHANNELS]):
        if mode in (TAKE_LAST, TAKE_FORGET):
            y_exact = a64[held + c]
        elif mode == TAKE_TIME and a64[weight] > 0:
            y_exact = tier.divide(a64[held + c] << extra, a64[weight])
        elif mode == TAKE_WINDOW:
            y_exact = tier.divide(a64[sums + c] << extra, min(a64[count], window))
        else:
            y_exact = tier.divide(a64[sums + c] << extra, a64[count])
        stored = tier.clip_one(y_exact, record[LOW], record[HIGH])
        clipped += stored != y_exact
        values[record[OUT] + c] = stored
    a64[record[OUT_ROWS]] = 1
    a64[record[SATURATIONS]] += clipped
