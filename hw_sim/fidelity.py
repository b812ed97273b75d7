"""How far the integers are from the numbers they stand for, and what the states hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..quantize.program import Program
from ..quantize.program.nodes import DiagonalSSM
from .reference import Trace

STATE = ":state"


def signal_to_noise(
    program: Program, traces: Sequence[Trace], floats: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, float | None]:
    """Signal-to-quantization-noise ratio by node, in dB, over all samples and events together.

    ``10 log10(sum f^2 / sum (q 2^-frac - f)^2)``, f what the float model holds there. None where there is no noise or
    no signal. ``floats``: by node (events, channels), by ``<node>:state`` for states; behind a read-out the last value.
    """
    ratios: dict[str, float | None] = {}
    for key in floats[0] if floats else ():
        signal = noise = 0.0
        for trace, values in zip(traces, floats, strict=True):
            codes, expected = _codes(program, trace, key), values[key]
            if len(codes) != len(expected):  # behind a read-out: its last value
                codes = codes[len(codes) - len(expected) :]
            signal += float((expected**2).sum())
            noise += float(((codes - expected) ** 2).sum())
        ratios[key] = round(10 * np.log10(signal / noise), 2) if signal > 0 and noise > 0 else None
    return ratios


def _codes(program: Program, trace: Trace, key: str) -> np.ndarray:
    name = key.removesuffix(STATE)
    node = program[name]
    if name == key:
        return trace.values[name] * 2.0**-node.output.frac
    frac = node.state_frac.astype(np.float64)
    return trace.states[name] * np.exp2(-np.concatenate([frac, frac]))


def state_bits(program: Program, traces: Sequence[Trace]) -> dict[str, dict[str, object]]:
    """By DiagonalSSM node: how many state codes have a magnitude of 0, 1, ... bits, and the width they may have."""
    found: dict[str, dict[str, object]] = {}
    for node in program:
        if isinstance(node, DiagonalSSM):
            counts = np.zeros(node.state_width + 1, dtype=np.int64)
            for trace in traces:
                magnitude = np.abs(trace.states[node.name]).ravel()
                bits = np.frexp(magnitude.astype(np.float64))[1]  # of an integer: its bit length
                counts += np.bincount(bits, minlength=len(counts))
            found[node.name] = {"width": node.state_width, "counts": counts.tolist()}
    return found


def time_constants(program: Program) -> dict[str, list[float | None]]:
    """By DiagonalSSM node: each mode's time constant in ms from its quantized decay, None where it never decays.

    ``tau = -tick / ln |a|``, a the decay of one tick.
    """
    tick_us = {node.name: node.unit_us for node in program.gap_inputs}
    found: dict[str, list[float | None]] = {}
    for node in program:
        if isinstance(node, DiagonalSSM):
            edge = node.inputs[1]
            while edge not in tick_us:
                edge = program[edge].inputs[0]
            scale = np.exp2(-node.decay_exponent[0].astype(np.float64))
            re, im = 1 + node.decay_re[0] * scale, node.decay_im[0] * scale
            with np.errstate(divide="ignore"):  # a decay of 0 has an infinite rate
                rates = -np.log(np.hypot(re, im))
            tick_ms = tick_us[edge] / 1000
            found[node.name] = [round(tick_ms / rate, 4) if rate > 0 else None for rate in rates.tolist()]
    return found
