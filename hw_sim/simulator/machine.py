"""Executes a plan: one compiled function for every program, a block of events at a time.

A block of one event is a step; longer blocks run layer by layer over their events. States live in the arenas between
blocks, so that any way to cut a stream gives the same integers.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled, kernel
from .kernels.plain import copy
from .opcodes import (
    BACKWARDS,
    CODE,
    FINE,
    H_ARRIVED,
    H_BLOCK,
    H_CHANNELS,
    H_DENSE,
    H_DIRTY,
    H_END,
    H_EVENTS,
    H_FIRST,
    H_FRAC,
    H_FROM,
    H_GAP_COUNT,
    H_GAPS,
    H_HIGH,
    H_INPUT_SATURATIONS,
    H_LAST,
    H_LOGITS,
    H_LOW,
    H_MAX_DURATION,
    H_MAX_EVENTS,
    H_NEXT,
    H_PENDING,
    H_QUERY,
    H_QUERY_COUNTER_COUNT,
    H_QUERY_COUNTERS,
    H_RATES,
    H_ROWS,
    H_START,
    H_TAKES,
    H_UPTO,
    H_VALUES,
    H_VOCAB,
    IN_ROWS,
    LENGTH,
    NOT_FINITE,
    OP,
    OUTSIDE,
    READ,
    SKIP,
    STEP,
    TAKE,
    TOO_LONG,
    X,
    Y,
    Z,
)
from .operations.calls import bases, call, unpacked


@kernel
def execute(arenas, a64, start, stop):
    """Run the records in ``[start, stop)`` on the rows that their input edges hold."""
    at = start
    while at < stop:
        if a64[a64[at + IN_ROWS]] == 0 and a64[at + OP] < TAKE:
            at += a64[at + SKIP]
        else:
            x, y, z = arenas[a64[at + X]], arenas[a64[at + Y]], arenas[a64[at + Z]]
            call(a64[at + CODE], at, x, y, z, arenas[1], arenas[2])
            at += a64[at + LENGTH]


@kernel
def check(a64, tokens, dense, times, n):
    """What is wrong with a chunk of n events, and at which: ``(FINE, 0)``, or the fault and the event's place."""
    last, events = a64[H_LAST], a64[H_EVENTS]
    first = a64[H_FIRST] if events > 0 else (times[0] if n else 0)
    for k in range(n):
        if (events > 0 or k > 0) and times[k] < last:
            return BACKWARDS, k
        last = times[k]
        duration = last - first  # below 0 where the difference does not fit 64 bits
        if duration < 0 or duration > a64[H_MAX_DURATION] or events + k >= a64[H_MAX_EVENTS]:
            return TOO_LONG, k
        if a64[H_DENSE] == 1:
            size, wrong = a64[H_CHANNELS], 0
            for c in range(k * size, (k + 1) * size):
                wrong += not np.isfinite(dense[c])
            if wrong:
                return NOT_FINITE, k
        elif tokens[k] < 0 or tokens[k] >= a64[H_VOCAB]:
            return OUTSIDE, k
    return FINE, 0


@kernel
def _encode(a64, tokens, dense, k, place):
    """Write the input codes of event k to ``place``; returns how many were clipped."""
    if a64[H_DENSE] == 0:
        a64[place] = tokens[k]
        return 0
    clipped, size, start = 0, a64[H_CHANNELS], k * a64[H_CHANNELS]
    scale = 2.0 ** a64[H_FRAC]
    low, high = np.float64(a64[H_LOW]), np.float64(a64[H_HIGH])
    for c in range(size):
        code = np.ceil(np.floor(dense[start + c] * (2 * scale)) / 2)  # see round_half_up_real
        stored = min(max(code, low), high)
        clipped += stored != code
        a64[place + c] = np.int64(stored)
    return clipped


@kernel
def _ticks(a64, times, k, count, before):
    """Write the gaps of ``count`` events from k on as rows of the gap inputs; the event before came at ``before``.

    Ticks of the time since the first event are ``floor((2 t + unit) / (2 unit))``. What that left over at the event
    before is kept: most events come within a tick, and need no division.
    """
    for g in range(a64[H_GAP_COUNT]):
        gap = a64[H_GAPS] + 3 * g
        unit, to, rest, last = 2 * a64[gap], a64[gap + 1], a64[gap + 2], before
        for i in range(count):
            ticks, now = 0, times[k + i]
            rest += 2 * (now - last)
            last = now
            if rest >= unit:
                ticks = rest // unit
                rest -= ticks * unit
            a64[to + i] = ticks
        a64[gap + 2] = rest


@kernel
def _fill(a64, tokens, dense, times, k, n):
    """Write a block's rows of inputs, or what is left of n, from event k on; returns the rows and the next event."""
    channels, following, saturations = a64[H_CHANNELS], a64[H_NEXT] == 1, a64[H_INPUT_SATURATIONS]
    if a64[H_EVENTS] == 0 and k < n:
        a64[H_FIRST] = times[k]
        a64[H_LAST] = times[k]
        for g in range(a64[H_GAP_COUNT]):
            a64[a64[H_GAPS] + 3 * g + 2] = a64[a64[H_GAPS] + 3 * g]
        if following:  # it has no row before the next one comes
            pending = a64[H_PENDING]
            a64[pending + channels] = _encode(a64, tokens, dense, k, pending)
            a64[H_EVENTS] = 1
            k += 1
    rows = min(n - k, a64[H_BLOCK])
    if rows > 0:
        _ticks(a64, times, k, rows, a64[H_LAST])
        if following:
            pending = a64[H_PENDING]
            for i in range(rows):
                copy(a64, pending, a64, a64[H_VALUES] + i * channels, channels)
                a64[saturations] += a64[pending + channels]
                a64[pending + channels] = _encode(a64, tokens, dense, k + i, pending)
        elif a64[H_DENSE] == 1:
            for i in range(rows):
                a64[saturations] += _encode(a64, tokens, dense, k + i, a64[H_VALUES] + i * channels)
        else:
            place = a64[H_VALUES]
            for i in range(rows):
                a64[place + i] = tokens[k + i]
        a64[H_LAST] = times[k + rows - 1]
        a64[H_EVENTS] += rows
    for rate in range(a64[H_RATES]):
        a64[a64[H_ROWS] + rate] = 0 if rate else rows
    return rows, k + rows


@compiled
def feed(pack, how, classes):
    """Take a chunk of events (none is fine), or refuse it whole; returns a fault and its event, as ``check``.

    Of a chunk that is fine it returns FINE and whether a read-out took a value with the last event, where events are
    read. ``how``: ADVANCE takes them and reads nothing; READ brings the edges behind the read-outs up to date at the
    end; STEP does so after every event, and fills ``out``, a row of ``classes`` + 1 an event: logits, and whether a
    read-out took a value. A reading happens where something changed; the saturation counters behind the read-outs hold
    the last reading's alone. In all of them a block of events runs through the layers at once, up to the read-outs.

    Arrays come as `packed`, flat: the arenas; tokens and times (n,), dense values (n size,); out.
    """
    a16, a32, a64, tokens, times, dense, out, n = unpacked(pack)
    fault, event = check(a64, tokens, dense, times, n)
    if fault != FINE:
        return fault, event
    arenas, logits, row = bases(a16, a32, a64), a64[H_LOGITS], 0
    k, taken, done = 0, 0, False
    while not done:
        first, rows = k, 0
        if k < n:
            rows, k = _fill(a64, tokens, dense, times, k, n)
            execute(arenas, a64, a64[H_START], a64[H_TAKES])
        done = k == n
        # Where each event is read, the read-outs take row by row; ``waiting`` is 1 where the stream's first event
        # waits for its gap, and has no row yet.
        turns = k - first if how == STEP else 1
        waiting = turns - rows
        for turn in range(turns):
            arrived = a64[H_ARRIVED]
            a64[H_FROM] = max(turn - waiting, 0) if how == STEP else 0
            a64[H_UPTO] = turn - waiting + 1 if how == STEP else rows
            execute(arenas, a64, a64[H_TAKES], a64[H_QUERY])
            if a64[H_DIRTY] == 1 and (how == STEP or (how == READ and done)):
                a64[H_DIRTY] = 0
                for c in range(a64[H_QUERY_COUNTER_COUNT]):
                    a64[a64[H_QUERY_COUNTERS] + c] = 0
                execute(arenas, a64, a64[H_QUERY], a64[H_END])
            if how == STEP:
                taken = int(a64[H_ARRIVED] > arrived)
                copy(a64, logits, out, row, classes)
                out[row + classes] = taken
                row += classes + 1
    return FINE, taken
