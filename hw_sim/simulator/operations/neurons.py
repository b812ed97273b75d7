"""Operations of neurons and leaky integrators.

x holds inputs and spikes, y weights, z the sums of weights and, of neurons, what multiplies states. States are in a32;
their products are int64. Rows of S entries are those of H neurons and zeros up to whole vectors.
"""

from __future__ import annotations

from ..kernels import neurons as tier
from ..kernels.plain import copy
from ..opcodes import (
    BODY,
    HIGH,
    IN,
    IN_CHANNELS,
    IN_ROWS,
    IS_CUBA,
    IS_LIF,
    IS_SE,
    LOW,
    OUT,
    OUT_CHANNELS,
    SATURATIONS,
)
from ..vectors import LANES, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation


@operation
def neurons(at, x, y, z, a32, a64):
    """S, places (scratch), whether the input is spikes, group, W (F, S), its shift, sum (scratch); whether recurrent, V
    (H, S), its shift, sum (scratch); start of the current's sum, right; kind, reset; z, u, lowest and highest u, alpha,
    rise, threshold, left shifts of I and of w, half and right of u; w, lowest and highest w, beta, coupling, jump, half
    and right of w; refractory steps, c; state trace or -1. Of current-based neurons w is the synaptic current.
    """
    record, values, weights, accs, a32, a64 = opened(at, x, y, z, a32, a64)
    size, places, spikes, group, feed, shift, driven, recurrent, matrix, back_shift, back = fields(record, BODY, 11)
    start, right, kind, reset = fields(record, BODY + 11, 4)
    z_at, u_at, low, high, alpha, rise, threshold, own_left, w_left, u_half, u_right = fields(record, BODY + 15, 11)
    w_at, w_low, w_high, beta, coupling, jump, w_half, w_right = fields(record, BODY + 26, 8)
    refractory, c_at, trace = fields(record, BODY + 34, 3)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    least, most, w_least, w_most = splat(low, accs), splat(high, accs), splat(w_low, accs), splat(w_high, accs)
    up, w_up, added, down = splat(own_left, accs), splat(w_left, accs), splat(u_half, a64), splat(u_right, a64)
    w_added, w_down, raised = splat(w_half, a64), splat(w_right, a64), splat(own_left, a64)
    adaptive = kind != IS_LIF and kind != IS_CUBA
    clipped = splat(0, accs)
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * inputs, record[OUT] + t * own
        tier.product(values, source, inputs, spikes, weights, feed, size, group, a32, places, accs, driven)
        if recurrent == 1:
            tier.product(values, z_at, own, 1, weights, matrix, size, group, a32, places, accs, back)
        for i in range(0, size, LANES):
            drive = (load(accs, driven + i, accs) << load(accs, shift + i, accs)) + load(accs, start + i, accs)
            if recurrent == 1:
                drive = drive + (load(accs, back + i, accs) << load(accs, back_shift + i, accs))
            drive = drive >> load(accs, right + i, accs)
            u, by, onto = load(a32, u_at + i, accs), load(accs, alpha + i, accs), load(accs, rise + i, accs)
            w, seen_u, seen_z = splat(0, accs), u, splat(0, accs)
            if adaptive:
                w, seen_z = load(a32, w_at + i, accs), load(values, z_at + i, accs)
                drive = (drive << up) - (w << w_up)
            elif kind == IS_CUBA:
                w, keeps = load(a32, w_at + i, accs), load(accs, beta + i, accs)
                drive, clipped = tier.synapse(
                    w, drive, keeps, raised, w_added, w_down, w_least, w_most, clipped, accs, a64
                )
                store(a32, w_at + i, drive, LANES)
            firing, c = load(accs, threshold + i, accs), splat(0, accs)
            if refractory > 0:
                c = load(a32, c_at + i, accs)
            u, fired, clipped = tier.lif(
                drive, u, by, onto, firing, added, down, least, most, clipped, reset, refractory, c, accs, a64
            )
            if refractory > 0:
                store(a32, c_at + i, tier.counted(c, fired, refractory, accs), LANES)
            if adaptive:
                if kind == IS_SE:
                    seen_u, seen_z = u, fired
                by, onto, jumps = load(accs, beta + i, accs), load(accs, coupling + i, accs), load(accs, jump + i, accs)
                w, clipped = tier.adapted(
                    w, seen_u, seen_z, by, onto, jumps, w_added, w_down, w_least, w_most, clipped, accs, a64
                )
                store(a32, w_at + i, w, LANES)
            store(a32, u_at + i, u, LANES)
            store(values, z_at + i, fired, LANES)
            store(values, out + i, fired, own - i)
        if trace >= 0:
            row = trace + t * (own if kind == IS_LIF else 2 * own)
            copy(a32, u_at, a64, row, own)
            if kind != IS_LIF:
                copy(a32, w_at, a64, row + own, own)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def driven(at, x, y, z, a32, a64):
    """u (H,), its lowest and highest code; alpha (H,), half and right of its shift; threshold (H,); trace or -1."""
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    u_at, low, high, alpha, half, right, threshold, trace = fields(record, BODY, 8)
    own = record[OUT_CHANNELS]
    least, most, added, down = splat(low, accs), splat(high, accs), splat(half, accs), splat(right, accs)
    clipped = splat(0, accs)
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * own, record[OUT] + t * own
        for i in range(0, own, LANES):
            u, fired, clipped = tier.driven_lif(
                load(values, source + i, accs),
                load(values, u_at + i, accs),
                load(accs, alpha + i, accs),
                added,
                down,
                load(accs, threshold + i, accs),
                least,
                most,
                clipped,
                own - i,
                accs,
            )
            store(values, u_at + i, u, own - i)
            store(values, out + i, fired, own - i)
        if trace >= 0:
            copy(values, u_at, a64, trace + t * own, own)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def integrate(at, x, y, z, a32, a64):
    """S, places (scratch), whether the input is spikes, group, W (F, S), its shift, sum (scratch); left, start of the
    sum, right; o, decay, its shift. The output is in a64.
    """
    record, values, weights, accs, a32, a64 = opened(at, x, y, z, a32, a64)
    size, places, spikes, group, feed, shift, arriving, left, start, right = fields(record, BODY, 10)
    o_at, decay, decay_shift = fields(record, BODY + 10, 3)
    inputs, own = record[IN_CHANNELS], record[OUT_CHANNELS]
    least, most, clipped = splat(record[LOW], a64), splat(record[HIGH], a64), splat(0, a64)
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * inputs, record[OUT] + t * own
        tier.product(values, source, inputs, spikes, weights, feed, size, group, a32, places, accs, arriving)
        for i in range(0, size, LANES):
            summed = (load(a32, decay + i, a64) * load(a32, o_at + i, a64)) << load(a64, decay_shift + i, a64)
            summed = summed + (load(accs, arriving + i, a64) << load(a64, shift + i, a64))
            v = ((summed << load(a64, left + i, a64)) + load(a64, start + i, a64)) >> load(a64, right + i, a64)
            s = minimum(maximum(v, least), most)
            clipped = clipped + tally(s != v, LANES, a64)
            store(a32, o_at + i, s, LANES)
            store(a64, out + i, s, own - i)
    a64[record[SATURATIONS]] += total(clipped)
