"""The operation of linear nodes."""

from __future__ import annotations

from ..kernels.plain import padded
from ..kernels.thin import next_products
from ..kernels.tiles import ROWS
from ..opcodes import BODY, HIGH, IN_ROWS, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..vectors import LANES, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation


@operation
def linear(at, x, y, z, a32, a64):
    """x: values; y: weights; z: sums. Start of the sum, first right shift, last right shift, inputs turned or as bytes
    (scratch); operand count, how many of them come before the first shift; by operand: edge, channels, weights,
    diagonal, shifts, the thin matrix or -1, starts of products of bytes or -1, its products (scratch). O is up to whole
    vectors.
    """
    record, values, weights, accs, _, a64 = opened(at, x, y, z, a32, a64)
    out, stride = record[OUT_CHANNELS], padded(record[OUT_CHANNELS])
    start, middle, right, room, operands, early = fields(record, BODY, 6)
    rows = a64[record[IN_ROWS]]
    least, most, clipped = splat(record[LOW], accs), splat(record[HIGH], accs), splat(0, accs)
    for t in range(0, rows, ROWS):
        for i in range(operands):
            edge, size, matrix, diagonal, _, thin, starts, sums = fields(record, BODY + 6 + 8 * i, 8)
            if diagonal == 0:
                next_products(weights, matrix, thin, starts, room, values, edge, size, t, rows, accs, sums, stride)
        for m in range(min(ROWS, rows - t)):
            for r in range(0, stride, LANES):
                v = load(accs, start + r, accs)
                for i in range(operands):
                    edge, size, matrix, diagonal, shifts, thin, _, sums = fields(record, BODY + 6 + 8 * i, 8)
                    if i == early:
                        v = v >> load(accs, middle + r, accs)
                    if diagonal == 1:
                        joining = load(weights, matrix + r, accs) * load(values, edge + (t + m) * size + r, accs)
                    else:
                        joining = load(accs, sums + (m + (t % LANES if thin >= 0 else 0)) * stride + r, accs)
                    v = v + (joining << load(accs, shifts + r, accs))
                v = v >> load(accs, right + r, accs)
                s = minimum(maximum(v, least), most)
                clipped = clipped + tally(s != v, LANES, accs)
                store(values, record[OUT] + (t + m) * out + r, s, out - r)
    a64[record[SATURATIONS]] += total(clipped)
