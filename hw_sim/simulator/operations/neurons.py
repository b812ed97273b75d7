"""Operations of neurons and leaky integrators.

``values`` hold inputs, weights and spikes, ``accs`` the sums of weights. States and what multiplies them are in a32,
their arithmetic is int64. Rows of S entries are those of H neurons and zeros up to whole vectors.
"""

from __future__ import annotations

from ..compiled import compiled
from ..kernels import neurons as tier
from ..opcodes import BODY, HIGH, IN, IN_CHANNELS, IN_ROWS, IS_LIF, IS_SE, LOW, OUT, OUT_CHANNELS, SATURATIONS
from ..views import fields


@compiled
def product(x, spikes, matrix, places, acc):
    """``acc = x W``, by the rows of ``matrix`` (F + 1, S) where ``x`` (F,) is not 0; spikes are added alone."""
    count = tier.find_nonzero(x, x.shape[0], places)
    acc[:] = 0
    if spikes == 1:
        tier.add_rows(matrix, places, count, acc)
    else:
        tier.add_scaled_rows(matrix, x, places, count, acc)


@compiled
def neurons(record, values, accs, a32, a64):
    """S, places (scratch), whether the input is spikes, W (F + 1, S), its shift, sum (scratch); whether recurrent, V
    (H + 1, S), its shift, sum (scratch); bias, left, half, right of the current; kind; z, u, lowest and highest u,
    alpha, rise, threshold, shifts; w, lowest and highest w, beta, coupling, jump, shifts; state trace or -1.
    """
    size, places, spikes, weights, shift, driven, recurrent, matrix, back_shift, back = fields(record[BODY:], 10)
    bias, left, half, right, kind = fields(record[BODY + 10 :], 5)
    z_at, u_at, low, high, alpha, rise, threshold, shifts = fields(record[BODY + 15 :], 8)
    w_at, w_low, w_high, beta, coupling, jump, w_shifts, trace = fields(record[BODY + 23 :], 8)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    place = a32[places : places + max(inputs, own) + tier.GROUP]
    feed = values[weights : weights + (inputs + 1) * size].reshape((inputs + 1, size))
    feedback = values[matrix : matrix + recurrent * (own + 1) * size].reshape((recurrent * (own + 1), size))
    arriving, returning = accs[driven : driven + size], accs[back : back + size]
    z, u, w = values[z_at : z_at + size], a32[u_at : u_at + size], a32[w_at : w_at + size]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        x = record[IN] + t * inputs
        product(values[x : x + inputs], spikes, feed, place, arriving)
        if recurrent == 1:
            product(z[:own], 1, feedback, place, returning)
        tier.current(
            arriving,
            accs[shift : shift + size],
            returning,
            accs[back_shift : back_shift + size],
            accs[bias : bias + size],
            accs[left : left + size],
            accs[half : half + size],
            accs[right : right + size],
        )
        if kind == IS_LIF:
            clipped += tier.lif(
                arriving,
                u,
                z,
                a32[alpha : alpha + size],
                a32[rise : rise + size],
                a64[threshold : threshold + size],
                a64[shifts : shifts + 4],
                low,
                high,
            )
        else:
            clipped += tier.adaptive_lif(
                arriving,
                u,
                w,
                z,
                a32[alpha : alpha + size],
                a32[rise : rise + size],
                a64[threshold : threshold + size],
                a32[beta : beta + size],
                a32[coupling : coupling + size],
                a32[jump : jump + size],
                a64[shifts : shifts + 6],
                low,
                high,
                a64[w_shifts : w_shifts + 5],
                w_low,
                w_high,
                1 if kind == IS_SE else 0,
            )
        out = record[OUT] + t * own
        values[out : out + own] = z[:own]
        if trace >= 0:
            row = trace + t * (own if kind == IS_LIF else 2 * own)
            for i in range(own):
                a64[row + i] = u[i]
                if kind != IS_LIF:
                    a64[row + own + i] = w[i]
    a64[record[SATURATIONS]] += clipped


@compiled
def driven(record, values, accs, a64):
    """u (H,), its lowest and highest code; alpha (H,), half and right of its shift; threshold (H,); trace or -1."""
    u_at, low, high, alpha, half, right, threshold, trace = fields(record[BODY:], 8)
    own = record[OUT_CHANNELS]
    u = values[u_at : u_at + own]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * own, record[OUT] + t * own
        clipped += tier.driven_lif(
            values[source : source + own],
            u,
            values[out : out + own],
            accs[alpha : alpha + own],
            half,
            right,
            accs[threshold : threshold + own],
            low,
            high,
        )
        if trace >= 0:
            for i in range(own):
                a64[trace + t * own + i] = u[i]
    a64[record[SATURATIONS]] += clipped


@compiled
def integrate(record, values, accs, a32, a64):
    """S, places (scratch), whether the input is spikes, W (F + 1, S), its shift, sum (scratch); bias, left, half,
    right; o, decay, its shift. The output is in a64.
    """
    size, places, spikes, weights, shift, driven, bias, left, half, right = fields(record[BODY:], 10)
    o_at, decay, decay_shift = fields(record[BODY + 10 :], 3)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    matrix = values[weights : weights + (inputs + 1) * size].reshape((inputs + 1, size))
    place, arriving = a32[places : places + inputs + tier.GROUP], accs[driven : driven + size]
    o = a32[o_at : o_at + size]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        x = record[IN] + t * inputs
        product(values[x : x + inputs], spikes, matrix, place, arriving)
        clipped += tier.integrate(
            arriving,
            a64[shift : shift + size],
            a64[bias : bias + size],
            o,
            a32[decay : decay + size],
            a64[decay_shift : decay_shift + size],
            a64[left : left + size],
            a64[half : half + size],
            a64[right : right + size],
            record[LOW],
            record[HIGH],
        )
        out = record[OUT] + t * own
        for i in range(own):
            a64[out + i] = o[i]
    a64[record[SATURATIONS]] += clipped
