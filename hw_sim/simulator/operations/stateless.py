"""Operations of nodes that keep no state, but for linear ones; x: values, z: accumulators."""

from __future__ import annotations

from ..kernels import plain as tier
from ..kernels.lookups import many_by_bytes
from ..opcodes import BODY, HIGH, IN, IN_ROWS, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..vectors import LANES, gather, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation


@operation
def table(at, x, y, z, a32, a64):
    """Table, saturations by token or -1."""
    record, values, _, _, _, a64 = opened(at, x, y, z, a32, a64)
    size, first, counts = record[OUT_CHANNELS], record[BODY], record[BODY + 1]
    for t in range(a64[record[IN_ROWS]]):
        token = a64[record[IN] + t]
        tier.copy(values, first + token * size, values, record[OUT] + t * size, size)
        if counts >= 0:
            a64[record[SATURATIONS]] += a64[counts + token]


@operation
def count(at, x, y, z, a32, a64):
    """Saturations by token, of a table that nobody reads."""
    record, _, _, _, _, a64 = opened(at, x, y, z, a32, a64)
    for t in range(a64[record[IN_ROWS]]):
        a64[record[SATURATIONS]] += a64[record[BODY] + a64[record[IN] + t]]


@operation
def convert(at, x, y, z, a32, a64):
    """Rows in another type: from x to y."""
    record, source, to, _, _, a64 = opened(at, x, y, z, a32, a64)
    tier.copy(source, record[IN], to, record[OUT], a64[record[IN_ROWS]] * record[OUT_CHANNELS])


@operation
def lookup(at, x, y, z, a32, a64):
    """Table, the lowest input code; y: the table in bytes or -1, which of their bits count."""
    record, values, codes, accs, _, a64 = opened(at, x, y, z, a32, a64)
    first, short, kept = record[BODY] - record[BODY + 1], record[BODY + 2], record[BODY + 3]
    size, source, out = a64[record[IN_ROWS]] * record[OUT_CHANNELS], record[IN], record[OUT]
    many = many_by_bytes(codes, short, values, source, out, size, kept) if short >= 0 else 0
    for i in range(many, size, LANES):
        places = load(values, source + i, accs)
        store(values, out + i, gather(values, first, places, size - i), size - i)


@operation
def multiply(at, x, y, z, a32, a64):
    """Second operand's edge, left, half, right."""
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    second, left, half, right = fields(record, BODY, 4)
    size, source, out = a64[record[IN_ROWS]] * record[OUT_CHANNELS], record[IN], record[OUT]
    least, most = splat(record[LOW], accs), splat(record[HIGH], accs)
    up, added, down = splat(left, accs), splat(half, accs), splat(right, accs)
    clipped = splat(0, accs)
    for i in range(0, size, LANES):
        product = load(values, source + i, accs) * load(values, second + i, accs)
        v = ((product << up) + added) >> down
        s = minimum(maximum(v, least), most)
        clipped = clipped + tally(s != v, size - i, accs)
        store(values, out + i, s, size - i)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def add(at, x, y, z, a32, a64):
    """Left, half, right, operand count; by operand: edge, left shift, whether it lies in z."""
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    left, half, right, operands = fields(record, BODY, 4)
    size, out = a64[record[IN_ROWS]] * record[OUT_CHANNELS], record[OUT]
    least, most = splat(record[LOW], accs), splat(record[HIGH], accs)
    up, added, down = splat(left, accs), splat(half, accs), splat(right, accs)
    clipped = splat(0, accs)
    for i in range(0, size, LANES):
        total_of_all = splat(0, accs)
        for k in range(operands):
            edge, shift, long = fields(record, BODY + 4 + 3 * k, 3)
            row = load(accs, edge + i, accs) if long == 1 else load(values, edge + i, accs)
            total_of_all = total_of_all + (row << splat(shift, accs))
        v = ((total_of_all << up) + added) >> down
        s = minimum(maximum(v, least), most)
        clipped = clipped + tally(s != v, size - i, accs)
        store(values, out + i, s, size - i)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def batch_norm(at, x, y, z, a32, a64):
    """Multiplier, left, start of the sum, right."""
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    size = record[OUT_CHANNELS]
    multiplier, left, start, right = fields(record, BODY, 4)
    least, most = splat(record[LOW], accs), splat(record[HIGH], accs)
    clipped = splat(0, accs)
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * size, record[OUT] + t * size
        for r in range(0, size, LANES):
            product = load(values, multiplier + r, accs) * load(values, source + r, accs)
            v = ((product << load(accs, left + r, accs)) + load(accs, start + r, accs)) >> load(accs, right + r, accs)
            s = minimum(maximum(v, least), most)
            clipped = clipped + tally(s != v, LANES, accs)
            store(values, out + r, s, size - r)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def layer_norm(at, x, y, z, a32, a64):
    """Gamma or -1, beta or -1, a, b, c, root shift, epsilon."""
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    size = record[OUT_CHANNELS]
    gamma, beta, a, b, c, root_shift, epsilon = fields(record, BODY, 7)
    for t in range(a64[record[IN_ROWS]]):
        a64[record[SATURATIONS]] += tier.layer_norm(
            values,
            record[IN] + t * size,
            a64,
            gamma,
            a64,
            beta,
            (a, b, c),
            root_shift,
            epsilon,
            record[LOW],
            record[HIGH],
            values,
            record[OUT] + t * size,
            size,
            a64,
            accs,
        )
