"""The operation of the diagonal state-space node."""

from __future__ import annotations

from ..compiled import compiled
from ..kernels import plain as tier
from ..opcodes import BODY, HIGH, IN, IN_CHANNELS, IN_ROWS, LOW, OUT, SATURATIONS
from ..views import fields


@compiled
def ssm(record, values, accs, a64):
    """With P modes and Q = 2 P: gaps, longest gap, clipped-gap counter, modes, zoh; drive table by token or -1, token;
    weights (Q, H), bias, zero shifts, left, half, right, drive scratch (Q,); state (Q,), its lowest and highest code;
    decay codes (J, 2, P), half and exponent (J, P); read half and shift; state trace or -1.
    """
    (gaps, longest, clips, modes, hold, drives, token, weights, bias, zeros, left, half, right, scratch) = fields(
        record[BODY:], 14
    )
    state, low, high, decay, decay_half, exponent, read_half, read_right, trace = fields(record[BODY + 14 :], 9)
    q, size = 2 * modes, record[IN_CHANNELS]
    x, re, im = values[state : state + q], values[state : state + modes], values[state + modes : state + q]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        gap = a64[gaps + t]
        if gap > longest:
            gap = longest
            a64[clips] += 1
        if drives >= 0:
            row = drives + a64[token + t] * q
            v = accs[row : row + q]
        else:
            v = accs[scratch : scratch + q]
        if drives < 0 and (hold == 0 or gap > 0):
            v[:] = accs[bias : bias + q]
            u = record[IN] + t * size
            tier.matvec(
                values[weights : weights + q * size].reshape((q, size)),
                values[u : u + size],
                accs[zeros : zeros + q],
                v,
            )
            tier.round_in_place(v, accs[left : left + q], accs[half : half + q], accs[right : right + q])
        if hold == 1 and gap > 0:
            clipped += tier.add_to_state(x, v, 1, low, high)
        digit, rest = 0, gap
        while rest > 0:
            if rest & 1 == 1:
                d, e = decay + digit * q, digit * modes
                clipped += tier.decay_step(
                    re,
                    im,
                    values[d : d + modes],
                    values[d + modes : d + q],
                    accs[decay_half + e : decay_half + e + modes],
                    accs[exponent + e : exponent + e + modes],
                    low,
                    high,
                )
            digit += 1
            rest >>= 1
        if hold == 0:
            clipped += tier.add_to_state(x, v, 1, low, high)
        elif gap > 0:
            clipped += tier.add_to_state(x, v, -1, low, high)
        place = record[OUT] + t * q
        if read_right == 0 and record[LOW] <= low and record[HIGH] >= high:
            values[place : place + q] = x
        else:
            clipped += tier.read_state(x, read_half, read_right, record[LOW], record[HIGH], values[place : place + q])
        if trace >= 0:
            for i in range(q):
                a64[trace + t * q + i] = x[i]
    a64[record[SATURATIONS]] += clipped
