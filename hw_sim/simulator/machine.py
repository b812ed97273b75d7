"""Executes a plan: one compiled function for every program, a block of events at a time.

A block of one event is a step; longer blocks run layer by layer over their events. States live in the arenas between
blocks, so that any way to cut a stream gives the same integers.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .compiled import compiled
from .opcodes import (
    ADD,
    BACKWARDS,
    BATCH_NORM,
    BODY,
    CHANNELS,
    COUNT,
    DRIVEN,
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
    H_START,
    H_VALUE_ROWS,
    H_VALUES,
    H_VOCAB,
    IN,
    IN_ROWS,
    INTEGRATE,
    IS_MIXED,
    IS_WIDE,
    LAYER_NORM,
    LENGTH,
    LINEAR,
    LOIHI,
    LOOKUP,
    MULTIPLY,
    NARROW,
    NEURONS,
    NOT_FINITE,
    OP,
    OUT,
    OUT_CHANNELS,
    OUT_ROWS,
    OUTSIDE,
    POOL,
    READ,
    SATURATIONS,
    SSM,
    STEP,
    TABLE,
    TAKE,
    TOO_LONG,
    WIDE,
    WIDEN,
)
from .operations.loihi import loihi
from .operations.neurons import driven, integrate, neurons
from .operations.ssm import channels, ssm
from .operations.stateless import add, batch_norm, layer_norm, linear, lookup, multiply, table
from .operations.windows import pool, read, take
from .views import unowned_view


@compiled
def execute(a16, a32, a64, start, stop):
    """Run the records in ``[start, stop)`` on the rows that their input edges hold."""
    at = start
    while at < stop:
        op = a64[at + OP]
        if a64[a64[at + IN_ROWS]] == 0 and op < TAKE:
            if op == POOL:
                a64[a64[at + OUT_ROWS]] = 0
            at += a64[at + LENGTH]
            continue
        record = a64[at : at + a64[at + LENGTH]]
        wide = record[WIDE] == IS_WIDE
        if op == LINEAR:
            if wide:
                linear(record, a64, a64, a64)
            elif record[WIDE] == IS_MIXED:
                linear(record, a16, a64, a64)
            else:
                linear(record, a16, a32, a64)
        elif op == SSM:
            if wide:
                ssm(record, a64, a64, a64)
            else:
                ssm(record, a16, a32, a64)
        elif op == NEURONS:
            if wide:
                neurons(record, a64, a64, a32, a64)
            else:
                neurons(record, a16, a32, a32, a64)
        elif op == CHANNELS:
            if wide:
                channels(record, a64, a64, a64)
            else:
                channels(record, a16, a32, a64)
        elif op == DRIVEN:
            if wide:
                driven(record, a64, a64, a64)
            else:
                driven(record, a16, a32, a64)
        elif op == INTEGRATE:
            if wide:
                integrate(record, a64, a64, a32, a64)
            else:
                integrate(record, a16, a32, a32, a64)
        elif op == LOIHI:
            if wide:
                loihi(record, a64, a64, a32, a64)
            else:
                loihi(record, a16, a32, a32, a64)
        elif op == LOOKUP:
            if wide:
                lookup(record, a64, a64)
            else:
                lookup(record, a16, a64)
        elif op == MULTIPLY:
            if wide:
                multiply(record, a64, a64, a64)
            else:
                multiply(record, a16, a32, a64)
        elif op == ADD:
            if wide:
                add(record, a64, a64, a64)
            else:
                add(record, a16, a32, a64)
        elif op == LAYER_NORM:
            if wide:
                layer_norm(record, a64, a64)
            else:
                layer_norm(record, a16, a64)
        elif op == BATCH_NORM:
            if wide:
                batch_norm(record, a64, a64, a64)
            else:
                batch_norm(record, a16, a32, a64)
        elif op == POOL:
            if wide:
                pool(record, a64, a64, a64)
            elif record[WIDE] == IS_MIXED:
                pool(record, a16, a64, a64)
            else:
                pool(record, a16, a16, a64)
        elif op == TABLE:
            if wide:
                table(record, a64, a64)
            else:
                table(record, a16, a64)
        elif op == COUNT:
            for t in range(a64[record[IN_ROWS]]):
                a64[record[SATURATIONS]] += a64[record[BODY] + a64[record[IN] + t]]
        elif op in (WIDEN, NARROW):
            size = a64[record[IN_ROWS]] * record[OUT_CHANNELS]
            if op == WIDEN:
                for i in range(size):
                    a64[record[OUT] + i] = a16[record[IN] + i]
            else:
                for i in range(size):
                    a16[record[OUT] + i] = a64[record[IN] + i]
        elif op == TAKE:
            if wide:
                take(record, a64, a64)
            else:
                take(record, a16, a64)
        else:
            if wide:
                read(record, a64, a64)
            else:
                read(record, a16, a64)
        at += record[LENGTH]


@compiled
def check(a64, tokens, dense, times):
    """What is wrong with a chunk of events, and at which: ``(FINE, 0)``, or the fault and the event's place."""
    last, events = a64[H_LAST], a64[H_EVENTS]
    first = a64[H_FIRST] if events > 0 else (times[0] if times.shape[0] else 0)
    for k in range(times.shape[0]):
        if (events > 0 or k > 0) and times[k] < last:
            return BACKWARDS, k
        last = times[k]
        duration = last - first  # below 0 where the difference does not fit 64 bits
        if duration < 0 or duration > a64[H_MAX_DURATION] or events + k >= a64[H_MAX_EVENTS]:
            return TOO_LONG, k
        if a64[H_DENSE] == 1:
            for c in range(dense.shape[1]):
                if not np.isfinite(dense[k, c]):
                    return NOT_FINITE, k
        elif tokens[k] < 0 or tokens[k] >= a64[H_VOCAB]:
            return OUTSIDE, k
    return FINE, 0


@compiled
def _encode(a64, tokens, dense, k, place):
    """Write the input codes of event k to ``place``; returns how many were clipped."""
    if a64[H_DENSE] == 0:
        a64[place] = tokens[k]
        return 0
    clipped = 0
    scale = 2.0 ** a64[H_FRAC]
    low, high = np.float64(a64[H_LOW]), np.float64(a64[H_HIGH])
    for c in range(a64[H_CHANNELS]):
        code = np.ceil(np.floor(dense[k, c] * (2 * scale)) / 2)  # see round_half_up_real
        stored = min(max(code, low), high)
        clipped += stored != code
        a64[place + c] = np.int64(stored)
    return clipped


@njit(inline="always")
def _fill(a64, tokens, dense, times, k, block):
    """Write up to ``block`` rows of inputs from event k on; returns the rows and the next event."""
    n, channels, following = times.shape[0], a64[H_CHANNELS], a64[H_NEXT] == 1
    pending, saturations = a64[H_PENDING], a64[H_INPUT_SATURATIONS]
    rows = 0
    while k < n and rows < block:
        if a64[H_EVENTS] == 0:
            a64[H_FIRST] = times[k]
        place = a64[H_VALUES] + rows * channels
        if not following or a64[H_EVENTS] > 0:
            for g in range(a64[H_GAP_COUNT]):
                gap = a64[H_GAPS] + 4 * g
                unit = a64[gap]
                tick = (2 * (times[k] - a64[H_FIRST]) + unit) // (2 * unit)
                a64[a64[gap + 1] + rows] = tick - a64[gap + 3]
                a64[gap + 3] = tick
            if following:
                a64[place : place + channels] = a64[pending : pending + channels]
                a64[saturations] += a64[pending + channels]
            else:
                a64[saturations] += _encode(a64, tokens, dense, k, place)
            rows += 1
        if following:
            a64[pending + channels] = _encode(a64, tokens, dense, k, pending)
        a64[H_LAST] = times[k]
        a64[H_EVENTS] += 1
        k += 1
    a64[a64[H_VALUE_ROWS]] = rows
    for g in range(a64[H_GAP_COUNT]):
        a64[a64[a64[H_GAPS] + 4 * g + 2]] = rows
    return rows, k


@compiled
def feed(owned16, owned32, owned64, events, dense, how, out):
    """Take a chunk of events (none is fine), or refuse it whole; returns (fault, event) as ``check``.

    ``how``: ADVANCE takes them in blocks and reads nothing; READ brings the edges behind the read-outs up to date at
    the end; STEP does so after every event, and fills ``out`` (n, classes + 1): logits, and whether a read-out took a
    value. A reading happens where something changed; the saturation counters behind the read-outs hold the last
    reading's alone. Shapes: ``events`` (n, 2) tokens and times; ``dense`` (n, size) or (0, 0).
    """
    a16, a32, a64 = unowned_view(owned16), unowned_view(owned32), unowned_view(owned64)
    tokens, times = events[:, 0], events[:, 1]
    k, n = 0, times.shape[0]
    fault, event = check(a64, tokens, dense, times)
    if fault != FINE:
        return fault, event
    block = 1 if how == STEP else a64[H_BLOCK]
    done = False
    while not done:
        event, arrived = k, a64[H_ARRIVED]
        if k < n:
            _, k = _fill(a64, tokens, dense, times, k, block)
            execute(a16, a32, a64, a64[H_START], a64[H_QUERY])
        done = k == n
        if (how == STEP or (how == READ and done)) and a64[H_DIRTY] == 1:
            a64[H_DIRTY] = 0
            for c in range(a64[H_QUERY_COUNTER_COUNT]):
                a64[a64[H_QUERY_COUNTERS] + c] = 0
            execute(a16, a32, a64, a64[H_QUERY], a64[H_END])
        if how == STEP and n > 0:
            classes = out.shape[1] - 1
            for c in range(classes):
                out[event, c] = a64[a64[H_LOGITS] + c]
            out[event, classes] = a64[H_ARRIVED] > arrived
    return FINE, 0
