"""The operation of Loihi's neurons; rows as in neurons.py."""

from __future__ import annotations

from ..kernels import neurons as tier
from ..opcodes import BODY, IN, IN_CHANNELS, IN_ROWS, OUT, OUT_CHANNELS, SATURATIONS
from .calls import fields, opened, operation


@operation
def loihi(at, x, y, z, a32, a64):
    """x: inputs and spikes, y: weights, z: sums of weights. S, places (scratch), whether the input is spikes, group, W
    (F, S), sum (scratch); whether recurrent, V (H, S), sum (scratch); weight exponent; z, u, v, bias; what u and v
    keep; threshold, (S,) each; limit, decay bits, alignment; state trace or -1. From u to the threshold all are in a64.
    """
    record, values, weights, accs, a32, a64 = opened(at, x, y, z, a32, a64)
    size, places, spikes, group, feed, driven, recurrent, matrix, back, exponent = fields(record, BODY, 10)
    z_at, u_at, v_at, bias, keep_u, keep_v, threshold = fields(record, BODY + 10, 7)
    limit, decay_bits, alignment, trace = fields(record, BODY + 17, 4)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    total_lost = 0
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * inputs, record[OUT] + t * own
        tier.product(values, source, inputs, spikes, weights, feed, size, group, a32, places, accs, driven)
        if recurrent == 1:
            tier.product(values, z_at, own, 1, weights, matrix, size, group, a32, places, accs, back)
        for i in range(own):
            first, second = int(accs[driven + i]), int(accs[back + i])
            arriving = (first + second) << exponent if exponent > 0 else (first >> -exponent) + (second >> -exponent)
            u, v, fired, lost = tier.loihi(
                arriving,
                a64[u_at + i],
                a64[v_at + i],
                a64[bias + i],
                a64[keep_u + i],
                a64[keep_v + i],
                a64[threshold + i],
                limit,
                decay_bits,
                alignment,
            )
            a64[u_at + i] = u
            a64[v_at + i] = v
            values[z_at + i] = fired
            values[out + i] = fired
            total_lost += lost
        if trace >= 0:
            row = trace + t * 2 * own
            for i in range(own):
                a64[row + i] = a64[u_at + i]
                a64[row + own + i] = a64[v_at + i]
    a64[record[SATURATIONS]] += total_lost
