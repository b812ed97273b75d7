"""The operations of the state-space nodes."""

from __future__ import annotations

from ..compiled import compiled
from ..kernels import plain as tier
from ..opcodes import BODY, HIGH, IN, IN_CHANNELS, IN_ROWS, LOW, OUT, SATURATIONS
from ..views import fields


@compiled
def ssm(record, values, accs, a64):
    """With P modes of C parts and Q = C P: gaps, longest gap, clipped-gap counter, modes, parts, zoh; drive table by
    token or -1, token; weights (Q, H), bias, zero shifts, left, half, right, drive scratch (Q,); state (Q,), its lowest
    and highest code; decay codes (J, C, P), half and exponent (J, P); read half and shift; state trace or -1.
    """
    (gaps, longest, clips, modes, parts, hold, drives, token, weights, bias, zeros, left, half, right, scratch) = (
        fields(record[BODY:], 15)
    )
    state, low, high, decay, decay_half, exponent, read_half, read_right, trace = fields(record[BODY + 15 :], 9)
    q, size = parts * modes, record[IN_CHANNELS]
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
                added = accs[decay_half + e : decay_half + e + modes]
                shift = accs[exponent + e : exponent + e + modes]
                if parts == 1:
                    clipped += tier.decay_step_real(x, values[d : d + modes], added, shift, low, high)
                else:
                    turn = values[d + modes : d + q]
                    clipped += tier.decay_step(re, im, values[d : d + modes], turn, added, shift, low, high)
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


@compiled
def channels(record, values, accs, a64):
    """Modes M; state (2, M, H), its lowest and highest code; decay codes (2, M, H), half and exponent (M, H); left,
    half and right of the drive (M, H); C (2, M, H), its shift; D, its shift; bias, sum (scratch), left, half, right,
    (H,) each; state trace or -1.
    """
    modes, state, low, high, decay, decay_half, exponent = fields(record[BODY:], 7)
    up, drive_half, down, matrix, shift, feed, feed_shift = fields(record[BODY + 7 :], 7)
    bias, scratch, left, half, right, trace = fields(record[BODY + 14 :], 6)
    h = record[IN_CHANNELS]
    q = modes * h
    x, re, im = values[state : state + 2 * q], values[state : state + q], values[state + q : state + 2 * q]
    acc = accs[scratch : scratch + h]
    clipped = 0
    for t in range(a64[record[IN_ROWS]]):
        place = record[IN] + t * h
        u = values[place : place + h]
        clipped += tier.decay_step(
            re,
            im,
            values[decay : decay + q],
            values[decay + q : decay + 2 * q],
            accs[decay_half : decay_half + q],
            accs[exponent : exponent + q],
            low,
            high,
        )
        acc[:] = 0
        for m in range(0, q, h):
            clipped += tier.drive_state(
                re[m : m + h],
                u,
                accs[up + m : up + m + h],
                accs[drive_half + m : drive_half + m + h],
                accs[down + m : down + m + h],
                low,
                high,
            )
            tier.add_products(values[matrix + m : matrix + m + h], re[m : m + h], acc)
            tier.add_products(values[matrix + q + m : matrix + q + m + h], im[m : m + h], acc)
        tier.shift_and_add(acc, accs[shift : shift + h], accs[bias : bias + h])
        tier.scale(values[feed : feed + h], u, accs[feed_shift : feed_shift + h], acc)
        place = record[OUT] + t * h
        clipped += tier.round_store(
            acc,
            accs[left : left + h],
            accs[half : half + h],
            accs[right : right + h],
            record[LOW],
            record[HIGH],
            values[place : place + h],
        )
        if trace >= 0:
            for i in range(2 * q):
                a64[trace + t * 2 * q + i] = x[i]
    a64[record[SATURATIONS]] += clipped
