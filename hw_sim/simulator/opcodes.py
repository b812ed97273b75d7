"""The layout of the records that plan/ writes and ``machine.py`` executes.

A plan is three arenas, ``a16``, ``a32`` and ``a64`` (int16, int32, int64), that hold constants, states, buffers and, in
``a64``, the records themselves. A record is ``[opcode, length, fields...]``. Every operation is narrow (values
in a16, accumulators in a32), wide (both in a64), or, for some, mixed (values in a16, accumulators or outputs in a64);
which arenas it reads and writes is in its fields.
"""

from __future__ import annotations

# Operations; those before TAKE do nothing where their input has no rows
TABLE, COUNT, CONVERT, LINEAR, LOOKUP, MULTIPLY, ADD = range(7)
BATCH_NORM, LAYER_NORM, SSM, CHANNELS, POOL, NEURONS, DRIVEN, INTEGRATE, LOIHI, TAKE, READ_OUT = range(7, 18)

# Types of an operation
IS_NARROW, IS_WIDE, IS_MIXED = range(3)

# Fields of every record. ROWS fields are places in a64 that hold how many rows an edge has in this block. CODE is where
# the operation is found (operations/calls.py), X, Y and Z its arenas; SKIP leads to the next record that may have rows
# where this one's input has none.
(
    OP,
    LENGTH,
    WIDE,
    CODE,
    X,
    Y,
    Z,
    SKIP,
    SATURATIONS,
    OUT_ROWS,
    OUT,
    OUT_CHANNELS,
    LOW,
    HIGH,
    IN_ROWS,
    IN,
    IN_CHANNELS,
) = range(17)
BODY = 17
"""Where an operation's own fields start; the docstring of its function in operations/ lists them, in order."""

# The head of a64: fixed places.
(
    H_START,  # first record of the event part
    H_TAKES,  # first record that takes rows into a read-out; the event part ends here
    H_QUERY,  # first record of the part behind read-outs
    H_END,
    H_BLOCK,  # rows a buffer holds
    H_NEXT,  # 1: gaps are paired with the next event
    H_VALUES,  # where input codes go
    H_ROWS,  # where the numbers of rows lie, the input's first, and how many: one a rate
    H_RATES,
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
    H_GAPS,  # first gap input's record: unit, where gaps go, what the ticks up to the event before left over
    H_GAP_COUNT,
    H_QUERY_COUNTERS,  # where the saturation counters of nodes behind a read-out lie, and how many
    H_QUERY_COUNTER_COUNT,
    H_LOGITS,  # where the logits lie
    H_FROM,  # read-outs take what came with the rows of the input from here on,
    H_UPTO,  # before there
    H_STATE,  # first of the changing places below
) = range(27)
H_EVENTS, H_FIRST, H_LAST, H_DIRTY, H_ARRIVED = range(H_STATE, H_STATE + 5)
HEAD = 32

# Modes of POOL and TAKE
POOL_FIRST, POOL_LAST, POOL_SUM, POOL_MEAN, POOL_TIME = range(5)
TAKE_MEAN, TAKE_TIME, TAKE_LAST, TAKE_WINDOW, TAKE_FORGET = range(5)

# Kinds of NEURONS
IS_LIF, IS_SE, IS_EF, IS_CUBA = range(4)

# What a spike of NEURONS does to its potential
RESET_ZERO, RESET_SUBTRACT, RESET_LATE_ZERO, RESET_LATE_SUBTRACT = range(4)

# How the machine is fed
ADVANCE, READ, STEP = range(3)

# What checking a chunk of events finds
FINE, BACKWARDS, OUTSIDE, NOT_FINITE, TOO_LONG = range(5)
