"""How far the integers are from the numbers they stand for, and what the states hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...program import Program
from ...program.nodes import HIDDEN, OUTPUT, SPIKES
from ...program.samples import Sample, Trace
from ..simulator import run as simulate
from .noise import sqnr_db

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
        ratios[key] = sqnr_db(signal, noise)
    return ratios


def _codes(program: Program, trace: Trace, key: str) -> np.ndarray:
    name = key.removesuffix(STATE)
    node = program[name]
    if name == key:
        return trace.values[name] * 2.0**-node.output.frac
    return trace.states[name] * np.exp2(-node.state_fracs.astype(np.float64))


def state_bits(program: Program, traces: Sequence[Trace]) -> dict[str, dict[str, object]]:
    """By state: how many codes have a magnitude of 0, 1, ... bits, and the width they may have.

    States are named by their node; those of neurons are apart, ``<node>:u`` and ``<node>:w`` (Loihi's ``:u`` and
    ``:v``).
    """
    found: dict[str, dict[str, object]] = {}
    for node in program:
        first = 0
        for state in node.states():
            if state.seen == HIDDEN:
                continue
            held = [(trace.values if state.seen == OUTPUT else trace.states)[node.name] for trace in traces]
            own = [rows[:, first : first + state.size].ravel() for rows in held]
            codes = np.concatenate([np.zeros(0, dtype=np.int64), *own])
            bits = np.frexp(np.abs(codes).astype(np.float64))[1]  # of an integer: its bit length
            counts = np.bincount(bits, minlength=state.width + 1)  # more where Loihi's u wraps but once
            found[state.key(node.name)] = {"width": state.width, "counts": counts.tolist()}
            first += state.size
    return found


def time_constants(program: Program) -> dict[str, list[float | None]]:
    """By state, named as in ``state_bits``: the time constants from quantized decays, None where nothing decays.

    ``tau = -tick / ln |a|``: of a DiagonalSSM by mode, in ms, a the decay of one tick; of neurons and leaky integrators
    by neuron, in steps, a the decay of one step.
    """
    found: dict[str, list[float | None]] = {}
    for node in program:
        for state in node.states():
            if state.loss is not None:
                unit = program.unit_us(state.clock) / 1000 if state.clock else 1.0
                found[state.key(node.name)] = _constants(state.loss, unit)
    return found


def _constants(loss: np.ndarray, unit: float) -> list[float | None]:
    with np.errstate(divide="ignore"):  # what loses all has an infinite rate
        rates = -np.log1p(-loss)
    return [round(unit / rate, 4) if rate > 0 else None for rate in rates.tolist()]


TRACED_AT_ONCE = 16


def spike_rates(program: Program, samples: Sequence[Sample], threads: int | None) -> dict[str, float]:
    """Spikes a neuron and step over all samples, by node; traces are kept of a few samples at a time."""
    spiking = [node.name for node in program if node.keeps_state and node.output == SPIKES]
    spikes, places = dict.fromkeys(spiking, 0), dict.fromkeys(spiking, 0)
    for start in range(0, len(samples) if spiking else 0, TRACED_AT_ONCE):
        for trace in simulate(program, samples[start : start + TRACED_AT_ONCE], trace=True, threads=threads):
            for name in spiking:
                spikes[name] += int(trace.values[name].sum())
                places[name] += trace.values[name].size
    return {name: spikes[name] / max(places[name], 1) for name in spiking}
