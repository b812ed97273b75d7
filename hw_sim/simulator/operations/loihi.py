"""The operation of Loihi's neurons; rows as in neurons.py."""

from __future__ import annotations

from ..compiled import compiled
from ..kernels import neurons as tier
from ..opcodes import BODY, IN, IN_CHANNELS, IN_ROWS, OUT, OUT_CHANNELS, SATURATIONS
from ..views import fields
from .neurons import product


@compiled
def loihi(record, values, accs, a32, a64):
    """S, places (scratch), whether the input is spikes, W (F + 1, S), sum (scratch); whether recurrent, V (H + 1, S),
    sum (scratch); weight exponent; z, u, v, bias; what u and v keep; threshold, (S,) each; limit, decay bits,
    alignment; state trace or -1. From u to the threshold all are in a64.
    """
    size, places, spikes, weights, driven, recurrent, matrix, back, exponent = fields(record[BODY:], 9)
    z_at, u_at, v_at, bias, keep_u, keep_v, threshold = fields(record[BODY + 9 :], 7)
    limit, decay_bits, alignment, trace = fields(record[BODY + 16 :], 4)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    place = a32[places : places + max(inputs, own) + tier.GROUP]
    feed = values[weights : weights + (inputs + 1) * size].reshape((inputs + 1, size))
    feedback = values[matrix : matrix + recurrent * (own + 1) * size].reshape((recurrent * (own + 1), size))
    arriving, returning = accs[driven : driven + size], accs[back : back + size]
    z, u, v = values[z_at : z_at + size], a64[u_at : u_at + size], a64[v_at : v_at + size]
    lost = 0
    for t in range(a64[record[IN_ROWS]]):
        x = record[IN] + t * inputs
        product(values[x : x + inputs], spikes, feed, place, arriving)
        if recurrent == 1:
            product(z[:own], 1, feedback, place, returning)
        lost += tier.loihi(
            arriving,
            returning,
            exponent,
            u,
            v,
            z,
            a64[bias : bias + size],
            a64[keep_u : keep_u + size],
            a64[keep_v : keep_v + size],
            a64[threshold : threshold + size],
            limit,
            decay_bits,
            alignment,
        )
        out = record[OUT] + t * own
        values[out : out + own] = z[:own]
        if trace >= 0:
            row = trace + t * 2 * own
            a64[row : row + own] = u[:own]
            a64[row + own : row + 2 * own] = v[:own]
    a64[record[SATURATIONS]] += lost
