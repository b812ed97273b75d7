"""Operations of nodes that keep no state."""

from __future__ import annotations

from ..compiled import compiled
from ..kernels import plain as tier
from ..opcodes import BODY, HIGH, IN, IN_ROWS, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..views import fields


@compiled
def table(record, values, a64):
    """Table, saturations by token or -1."""
    size, counts = record[OUT_CHANNELS], record[BODY + 1]
    for t in range(a64[record[IN_ROWS]]):
        token = a64[record[IN] + t]
        source = record[BODY] + token * size
        place = record[OUT] + t * size
        values[place : place + size] = values[source : source + size]
        if counts >= 0:
            a64[record[SATURATIONS]] += a64[counts + token]


@compiled
def linear(record, values, accs, a64):
    """Bias, left, half, right, scratch; operand count; by operand: edge, channels, weights, diagonal, shifts."""
    out, low, high = record[OUT_CHANNELS], record[LOW], record[HIGH]
    bias, left, half, right, scratch, operands = fields(record[BODY:], 6)
    acc = accs[scratch : scratch + out]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = accs[bias : bias + out]
        for i in range(operands):
            edge, size, weights, diagonal, shifts = fields(record[BODY + 6 + 5 * i :], 5)
            x = values[edge + t * size : edge + t * size + size]
            shift = accs[shifts : shifts + out]
            if diagonal == 1:
                tier.scale(values[weights : weights + out], x, shift, acc)
            else:
                tier.matvec(values[weights : weights + out * size].reshape((out, size)), x, shift, acc)
        place = record[OUT] + t * out
        a64[record[SATURATIONS]] += tier.round_store(
            acc,
            accs[left : left + out],
            accs[half : half + out],
            accs[right : right + out],
            low,
            high,
            values[place : place + out],
        )


@compiled
def lookup(record, values, a64):
    """Table, the lowest input code."""
    entries, least = record[BODY], record[BODY + 1]
    for i in range(a64[record[IN_ROWS]] * record[OUT_CHANNELS]):
        values[record[OUT] + i] = values[entries + values[record[IN] + i] - least]


@compiled
def multiply(record, values, accs, a64):
    """Second operand's edge, left, half, right."""
    size = a64[record[IN_ROWS]] * record[OUT_CHANNELS]
    second, left, half, right = fields(record[BODY:], 4)
    a64[record[SATURATIONS]] += tier.multiply(
        values[record[IN] : record[IN] + size],
        values[second : second + size],
        left,
        half,
        right,
        record[LOW],
        record[HIGH],
        values[record[OUT] : record[OUT] + size],
        accs,
    )


@compiled
def add(record, values, accs, a64):
    """Left, half, right, scratch, operand count; by operand: edge, left shift."""
    size = record[OUT_CHANNELS]
    left, half, right, scratch, operands = fields(record[BODY:], 5)
    acc = accs[scratch : scratch + size]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = 0
        for i in range(operands):
            x = record[BODY + 5 + 2 * i] + t * size
            tier.add_shifted(values[x : x + size], record[BODY + 6 + 2 * i], acc)
        place = record[OUT] + t * size
        a64[record[SATURATIONS]] += tier.round_store_uniform(
            acc, left, half, right, record[LOW], record[HIGH], values[place : place + size]
        )


@compiled
def batch_norm(record, values, accs, a64):
    """Multiplier, bias, left, half, right, zero shifts, scratch."""
    size = record[OUT_CHANNELS]
    multiplier, bias, left, half, right, zeros, scratch = fields(record[BODY:], 7)
    acc = accs[scratch : scratch + size]
    for t in range(a64[record[IN_ROWS]]):
        acc[:] = accs[bias : bias + size]
        x, place = record[IN] + t * size, record[OUT] + t * size
        tier.scale(values[multiplier : multiplier + size], values[x : x + size], accs[zeros : zeros + size], acc)
        a64[record[SATURATIONS]] += tier.round_store(
            acc,
            accs[left : left + size],
            accs[half : half + size],
            accs[right : right + size],
            record[LOW],
            record[HIGH],
            values[place : place + size],
        )


@compiled
def layer_norm(record, values, a64):
    """Gamma, its length, beta, its length, a, b, c, root shift, epsilon."""
    size = record[OUT_CHANNELS]
    gamma, gammas, beta, betas, a, b, c, root_shift, epsilon = fields(record[BODY:], 9)
    for t in range(a64[record[IN_ROWS]]):
        x, place = record[IN] + t * size, record[OUT] + t * size
        a64[record[SATURATIONS]] += tier.layer_norm(
            values[x : x + size],
            a64[gamma : gamma + gammas],
            a64[beta : beta + betas],
            a,
            b,
            c,
            root_shift,
            epsilon,
            record[LOW],
            record[HIGH],
            values[place : place + size],
        )
