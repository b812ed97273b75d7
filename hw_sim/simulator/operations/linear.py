"""The operation of linear nodes."""

from __future__ import annotations

from ..kernels.plain import padded
from ..kernels.products import products
from ..kernels.tiles import ROWS
from ..opcodes import BODY, HIGH, IN_ROWS, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..vectors import LANES, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation


@operation
def linear(at, x, y, z, a32, a64):
    """x: values; y: weights; z: sums. Start of the sum, first right shift, last right shift, products (ROWS, O) of each
    matrix (scratch); operand count, how many of them come before the first shift; by operand: edge, channels, weights,
    diagonal, shifts. O is up to whole vectors.
    """
    record, values, weights, accs, _, a64 = opened(at, x, y, z, a32, a64)
    out, stride = record[OUT_CHANNELS], padded(record[OUT_CHANNELS])
    start, middle, right, scratch, operands, early = fields(record, BODY, 6)
    least, most, clipped = splat(record[LOW], accs), splat(record[HIGH], accs), splat(0, accs)
    for t in range(0, a64[record[IN_ROWS]], ROWS):
        count, sums = min(ROWS, a64[record[IN_ROWS]] - t), scratch
        for i in range(operands):
            edge, size, matrix, diagonal, _ = fields(record, BODY + 6 + 5 * i, 5)
            if diagonal == 0:
                products(weights, matrix, values, edge + t * size, size, count, accs, sums, stride)
                sums += ROWS * stride
        for m in range(count):
            for r in range(0, stride, LANES):
                v, sums = load(accs, start + r, accs), scratch + m * stride + r
                for i in range(operands):
                    edge, size, matrix, diagonal, shifts = fields(record, BODY + 6 + 5 * i, 5)
                    if i == early:
                        v = v >> load(accs, middle + r, accs)
                    if diagonal == 1:
                        joining = load(weights, matrix + r, accs) * load(values, edge + (t + m) * size + r, accs)
                    else:
                        joining = load(accs, sums, accs)
                        sums += ROWS * stride
                    v = v + (joining << load(accs, shifts + r, accs))
                v = v >> load(accs, right + r, accs)
                s = minimum(maximum(v, least), most)
                clipped = clipped + tally(s != v, LANES, accs)
                store(values, record[OUT] + (t + m) * out + r, s, out - r)
    a64[record[SATURATIONS]] += total(clipped)
