"""The layout of the records that plan/ writes and ``machine.py`` executes.

A plan is three arenas, ``a16``, ``a32`` and ``a64`` (int16, int32, int64), that hold constants, states, buffers and, in
``a64``, the records themselves. A record is ``[opcode, length, fields...]``. Every operation is narrow (values
in a16, accumulators in a32), wide (both in a64), or, for some, mixed (values in a16, accumulators or outputs in a64).
"""

from __future__ import annotations

# Operations; those before TAKE do nothing where their input has no rows
TABLE, COUNT, WIDEN, NARROW, LINEAR, LOOKUP, MULTIPLY, ADD = range(8)
BATCH_NORM, LAYER_NORM, SSM, CHANNELS, POOL, NEURONS, DRIVEN, INTEGRATE, LOIHI, TAKE, READ_OUT = range(8, 19)

# Types of an operation: (values, accumulators), for POOL (values, outputs)
IS_NARROW, IS_WIDE, IS_MIXED = range(3)

# Fields of every record. ROWS fields are places in a64 that hold how many rows an edge has in this block.
OP, LENGTH, WIDE, SATURATIONS, OUT_ROWS, OUT, OUT_CHANNELS, LOW, HIGH, IN_ROWS, IN, IN_CHANNELS = range(12)
BODY = 12
"""Where an operation's own fields start; the docstring of its function in operations/ lists them, in order."""

# The head of a64: fixed places.
(
    H_START,  # first record of the event part
    H_QUERY,  # first record of the part behind read-outs; the event part ends here
    H_END,
    H_BLOCK,  # rows a buffer holds
    H_NEXT,  # 1: gaps are paired with the next event
    H_VALUES,  # where input codes go
    H_VALUE_ROWS,
    H_CHANNELS,  # channels of the input
    H_DENSE,  # 1: dense input
    H_FRAC,
    H_LOW,
    H_HIGH,
    H_INPUT_SATURATIONS,
    H_VOCAB,
    H_MAX_DURATION,
    H_MAX_EVENTS,
    H_PENDING,  # the input codes of the event that waits for its gap
    H_GAPS,  # first gap input's record: unit, where gaps go, rows, ticks of the event before
    H_GAP_COUNT,
    H_QUERY_COUNTERS,  # where the saturation counters of nodes behind a read-out lie, and how many
    H_QUERY_COUNTER_COUNT,
    H_LOGITS,  # where the logits lie
    H_STATE,  # first of the changing places below
) = range(23)
H_EVENTS, H_FIRST, H_LAST, H_DIRTY, H_ARRIVED = range(H_STATE, H_STATE + 5)
HEAD = 32

# Modes of POOL and TAKE
POOL_FIRST, POOL_LAST, POOL_SUM, POOL_MEAN, POOL_TIME = range(5)
TAKE_MEAN, TAKE_TIME, TAKE_LAST, TAKE_WINDOW, TAKE_FORGET = range(5)

# Kinds of NEURONS
IS_LIF, IS_SE, IS_EF = range(3)

# How the machine is fed
ADVANCE, READ, STEP = range(3)

# What checking a chunk of events finds
FINE, BACKWARDS, OUTSIDE, NOT_FINITE, TOO_LONG = range(5)
