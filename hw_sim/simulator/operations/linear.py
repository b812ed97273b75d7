"""The operation of linear nodes."""

from __future__ import annotations

from ..kernels import plain as tier
from ..kernels.products import add_products
from ..kernels.tiles import ROWS
from ..opcodes import BODY, HIGH, IN_ROWS, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..vectors import splat, total
from .calls import fields, opened, operation


@operation
def linear(at, x, y, z, a32, a64):
    """x: values; y: weights; z: sums. Start of the sum, first right shift, last right shift, sums (ROWS, O) and
    products (ROWS, O), both scratch; operand count, how many of them come before the first shift; by operand: edge,
    channels, weights, diagonal, shifts or -1 where none shifts. O is up to whole vectors.
    """
    record, values, weights, accs, _, a64 = opened(at, x, y, z, a32, a64)
    out, low, high = record[OUT_CHANNELS], record[LOW], record[HIGH]
    start, middle, right, sums, products, operands, early = fields(record, BODY, 7)
    stride, rows = tier.padded(out), a64[record[IN_ROWS]]
    clipped = splat(0, accs)
    for t in range(0, rows, ROWS):
        count = min(ROWS, rows - t)
        for m in range(count):
            tier.copy(accs, start, accs, sums + m * stride, stride)
        for i in range(operands):
            edge, size, matrix, diagonal, shifts = fields(record, BODY + 7 + 5 * i, 5)
            if i == early:
                for m in range(count):
                    tier.shift_down(accs, sums + m * stride, middle, stride)
            if diagonal == 1:
                for m in range(count):
                    u, acc = edge + (t + m) * size, sums + m * stride
                    tier.add_scaled(weights, matrix, values, u, accs, shifts, acc, stride)
            elif shifts < 0:
                add_products(weights, matrix, values, edge + t * size, size, count, accs, sums, stride)
            else:
                tier.clear(accs, products, count * stride)
                add_products(weights, matrix, values, edge + t * size, size, count, accs, products, stride)
                for m in range(count):
                    tier.add_shifted(accs, products + m * stride, shifts, sums + m * stride, stride)
        for m in range(count):
            place = record[OUT] + (t + m) * out
            clipped = tier.shift_and_store(accs, sums + m * stride, right, values, place, out, low, high, clipped)
    a64[record[SATURATIONS]] += total(clipped)
