"""The operations of the state-space nodes; x: values and states, y: weights, z: accumulators."""

from __future__ import annotations

from ..compiled import kernel
from ..kernels import plain as tier
from ..kernels.thin import next_products
from ..kernels.tiles import ROWS
from ..opcodes import BODY, HIGH, IN, IN_CHANNELS, IN_ROWS, LOW, OUT, SATURATIONS
from ..vectors import LANES, add_saturating, cast, first, load, maximum, minimum, splat, store, tally, total
from .calls import fields, opened, operation

SHORTEST, LONGEST = -(1 << 15), (1 << 15) - 1


@kernel
def drive(values, accs, drives, short, v, left, start, right, p):
    """One vector of what drives the state: products to be rounded, or an entry of a table."""
    if drives < 0:
        summed = (load(accs, v, accs) << load(accs, left + p, accs)) + load(accs, start + p, accs)
        found = summed >> load(accs, right + p, accs)
    elif short == 1:
        found = load(values, v, accs)
    else:
        found = load(accs, v, accs)
    return found


@kernel
def moved(x, v, least, most, clipped, like):
    """``sat(x + v)`` of one vector."""
    free = x + v
    kept = minimum(maximum(free, least), most)
    return kept, clipped + tally(kept != free, LANES, like)


@kernel
def read(x, half, right, least, most, clipped, like):
    """``sat(rhu(x))`` of one vector."""
    free = (x + half) >> right
    kept = minimum(maximum(free, least), most)
    return kept, clipped + tally(kept != free, LANES, like)


@operation
def ssm(at, x, y, z, a32, a64):
    """With P modes of C parts, P up to whole vectors, and Q = C P: gaps, longest gap, clipped-gap counter, modes,
    parts, zoh; drive table by token or -1, whether it lies in x, token; weights (Q, H), left, start of the sum, right,
    (Q,) each, the thin matrix or -1, starts of products of bytes or -1, inputs turned or as bytes (scratch), drives
    (scratch); state (Q,), its lowest and highest code; decay codes (J, C, P), half and exponent (J, P); read half and
    shift; state trace or -1.
    """
    record, values, weights, accs, _, a64 = opened(at, x, y, z, a32, a64)
    gaps, longest, clips, modes, parts, hold, drives, short, token = fields(record, BODY, 9)
    matrix, left, start, right, thin, starts, room, scratch, state, low, high = fields(record, BODY + 9, 11)
    decay, half, exponent, read_half, read_right, trace = fields(record, BODY + 20, 6)
    size, rows = record[IN_CHANNELS], a64[record[IN_ROWS]]
    pad = tier.padded(modes)
    q, own = parts * pad, parts * modes
    least, most = splat(low, accs), splat(high, accs)
    lowest, highest = splat(record[LOW], accs), splat(record[HIGH], accs)
    added, down = splat(read_half, accs), splat(read_right, accs)
    as_it_is = read_right == 0 and record[LOW] <= low and record[HIGH] >= high
    at_once = as_it_is and short == 1 and hold == 0 and low == SHORTEST and high == LONGEST and modes == pad
    clipped = splat(0, accs)
    for head in range(0, rows, ROWS):
        sums = scratch
        if drives < 0:
            sums = next_products(
                weights, matrix, thin, starts, room, values, record[IN], size, head, rows, accs, scratch, q
            )
        for m in range(min(ROWS, rows - head)):
            t = head + m
            gap = a64[gaps + t]
            if gap > longest:
                gap = longest
                a64[clips] += 1
            v, out, span = sums + m * q, record[OUT] + t * own, pad
            if drives >= 0:
                v = drives + a64[token + t] * q
            if at_once and gap == 0:
                lost = splat(0, values)
                for p in range(0, q, LANES):
                    re, b_re = load(values, state + p, values), load(values, v + p, values)
                    kept = add_saturating(re, b_re)
                    lost = lost + tally(kept != re + b_re, LANES, values)
                    store(values, state + p, kept, LANES)
                    store(values, out + p, kept, LANES)
                clipped = clipped + cast(lost, accs)
                span = 0
            for p in range(0, span, LANES):
                re, b_re = (
                    load(values, state + p, accs),
                    drive(values, accs, drives, short, v + p, left, start, right, p),
                )
                if parts == 1:
                    if hold == 1 and gap > 0:
                        re, clipped = moved(re, b_re, least, most, clipped, accs)
                    digit, rest = p, gap
                    while rest > 0:
                        if rest & 1 == 1:
                            re, clipped = tier.decay_step_real(
                                re, values, decay + digit, accs, half + digit, exponent + digit, least, most, clipped
                            )
                        digit += pad
                        rest >>= 1
                    if hold == 0:
                        re, clipped = moved(re, b_re, least, most, clipped, accs)
                    elif gap > 0:
                        re, clipped = moved(re, splat(0, accs) - b_re, least, most, clipped, accs)
                else:
                    i = pad + p
                    im, b_im = (
                        load(values, state + i, accs),
                        drive(values, accs, drives, short, v + i, left, start, right, i),
                    )
                    if hold == 1 and gap > 0:
                        re, clipped = moved(re, b_re, least, most, clipped, accs)
                        im, clipped = moved(im, b_im, least, most, clipped, accs)
                    digit, rest = p, gap
                    while rest > 0:
                        if rest & 1 == 1:
                            growth = decay + 2 * digit - p
                            re, im, clipped = tier.decay_step(
                                re,
                                im,
                                values,
                                growth + pad,
                                growth,
                                accs,
                                half + digit,
                                exponent + digit,
                                least,
                                most,
                                clipped,
                            )
                        digit += pad
                        rest >>= 1
                    if hold == 0:
                        re, clipped = moved(re, b_re, least, most, clipped, accs)
                        im, clipped = moved(im, b_im, least, most, clipped, accs)
                    elif gap > 0:
                        re, clipped = moved(re, splat(0, accs) - b_re, least, most, clipped, accs)
                        im, clipped = moved(im, splat(0, accs) - b_im, least, most, clipped, accs)
                    store(values, state + pad + p, im, LANES)
                    if not as_it_is:
                        im, clipped = read(im, added, down, lowest, highest, clipped, accs)
                    store(values, out + modes + p, im, modes - p)
                store(values, state + p, re, LANES)
                if not as_it_is:
                    re, clipped = read(re, added, down, lowest, highest, clipped, accs)
                store(values, out + p, re, modes - p)
            if trace >= 0:
                for part in range(parts):
                    tier.copy(values, state + part * pad, a64, trace + t * own + part * modes, modes)
    a64[record[SATURATIONS]] += total(clipped)


@operation
def channels(at, x, y, z, a32, a64):
    """Modes M; state (2, M, H), its lowest and highest code; decay codes (2, M, H), half and exponent (M, H); left,
    half and right of the drive (M, H); C (2, M, H), its shift; D, its shift; bias, left, half, right, (H,) each; state
    trace or -1.
    """
    record, values, _, accs, _, a64 = opened(at, x, y, z, a32, a64)
    modes, state, low, high, decay, decay_half, exponent = fields(record, BODY, 7)
    up, drive_half, down, matrix, shift, feed, feed_shift = fields(record, BODY + 7, 7)
    bias, left, half, right, trace = fields(record, BODY + 14, 5)
    h = record[IN_CHANNELS]
    q = modes * h
    least, most = splat(low, accs), splat(high, accs)
    lowest, highest = splat(record[LOW], accs), splat(record[HIGH], accs)
    clipped = splat(0, accs)
    for t in range(a64[record[IN_ROWS]]):
        source, out = record[IN] + t * h, record[OUT] + t * h
        for r in range(0, h, LANES):
            u, acc = load(values, source + r, accs), splat(0, accs)
            clips = splat(0, accs)
            for m in range(r, q, h):
                re, im = load(values, state + m, accs), load(values, state + q + m, accs)
                re, im, clips = tier.decay_step(
                    re,
                    im,
                    values,
                    decay + q + m,
                    decay + m,
                    accs,
                    decay_half + m,
                    exponent + m,
                    least,
                    most,
                    clips,
                )
                drive = ((u << load(accs, up + m, accs)) + load(accs, drive_half + m, accs)) >> load(
                    accs, down + m, accs
                )
                re, clips = moved(re, drive, least, most, clips, accs)
                store(values, state + m, re, h - r)
                store(values, state + q + m, im, h - r)
                acc = acc + load(values, matrix + m, accs) * re + load(values, matrix + q + m, accs) * im
            acc = (acc << load(accs, shift + r, accs)) + load(accs, bias + r, accs)
            acc = acc + ((load(values, feed + r, accs) * u) << load(accs, feed_shift + r, accs))
            v = ((acc << load(accs, left + r, accs)) + load(accs, half + r, accs)) >> load(accs, right + r, accs)
            s = minimum(maximum(v, lowest), highest)
            clips = clips + tally(s != v, LANES, accs)
            clipped = clipped + first(clips, h - r)
            store(values, out + r, s, h - r)
        if trace >= 0:
            tier.copy(values, state, a64, trace + t * 2 * q, 2 * q)
    a64[record[SATURATIONS]] += total(clipped)
