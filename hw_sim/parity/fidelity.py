"""How far the integers are from the numbers they stand for, and what the states hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...program import Program
from ...program.nodes import SPIKES, AdaptiveLIF, DiagonalSSM, LeakyIntegrator, LoihiLIF, Neurons, Node
from ...program.nodes.loihi import DECAY_BITS, STATE_LIMIT
from ...program.samples import Sample, Trace
from ..simulator import run as simulate

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
    return trace.states[name] * np.exp2(-node.state_fracs.astype(np.float64))


def state_bits(program: Program, traces: Sequence[Trace]) -> dict[str, dict[str, object]]:
    """By state: how many codes have a magnitude of 0, 1, ... bits, and the width they may have.

    States are named by their node; those of neurons are apart, ``<node>:u`` and ``<node>:w`` (Loihi's ``:u`` and
    ``:v``).
    """
    found: dict[str, dict[str, object]] = {}
    for node in program:
        first = 0
        for key, width, size in _states(node):
            counts = np.zeros(width + 1, dtype=np.int64)
            for trace in traces:
                held = trace.states.get(node.name, trace.values[node.name])  # an integrator's state is its output
                magnitude = np.abs(held[:, first : first + size]).ravel()
                bits = np.frexp(magnitude.astype(np.float64))[1]  # of an integer: its bit length
                counts += np.bincount(bits, minlength=len(counts))
            found[key] = {"width": width, "counts": counts.tolist()}
            first += size
    return found


def _states(node: Node) -> list[tuple[str, int, int]]:
    """(name, width, channels) of each state, in the order of traces."""
    name = node.name
    if isinstance(node, DiagonalSSM):
        return [(name, node.state_width, 2 * node.modes)]
    if isinstance(node, LeakyIntegrator):
        return [(name, node.output.width, node.channels)]
    if isinstance(node, LoihiLIF):
        width = STATE_LIMIT.bit_length()
        return [(f"{name}:u", width, node.neurons), (f"{name}:v", width, node.neurons)]
    found = [(f"{name}:u", node.potential.width, node.neurons)] if isinstance(node, Neurons) else []
    if isinstance(node, AdaptiveLIF):
        found.append((f"{name}:w", node.adaptation.width, node.neurons))
    return found


def time_constants(program: Program) -> dict[str, list[float | None]]:
    """By state, named as in ``state_bits``: the time constants from quantized decays, None where nothing decays.

    ``tau = -tick / ln |a|``: of a DiagonalSSM by mode, in ms, a the decay of one tick; of neurons and leaky integrators
    by neuron, in steps, a the decay of one step.
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
            found[node.name] = _constants(np.hypot(re, im), tick_us[edge] / 1000)
        if isinstance(node, Neurons):
            found[f"{node.name}:u"] = _constants(np.ldexp(node.alpha.astype(np.float64), -node.alpha_frac))
        if isinstance(node, AdaptiveLIF):
            found[f"{node.name}:w"] = _constants(np.ldexp(node.beta.astype(np.float64), -node.beta_frac))
        if isinstance(node, LoihiLIF):
            one = 1 << DECAY_BITS
            for name, kept in (("u", one - 1 - node.du), ("v", one - node.dv)):
                found[f"{node.name}:{name}"] = _constants(np.full(node.neurons, kept / one))
        if isinstance(node, LeakyIntegrator):
            found[node.name] = _constants(np.ldexp(node.decay.astype(np.float64), -node.decay_frac))
    return found


def _constants(decays: np.ndarray, unit: float = 1.0) -> list[float | None]:
    with np.errstate(divide="ignore"):  # a decay of 0 has an infinite rate
        rates = -np.log(decays)
    return [round(unit / rate, 4) if rate > 0 else None for rate in rates.tolist()]


TRACED_AT_ONCE = 16


def _spike_rates(program: Program, samples: Sequence[Sample], threads: int | None) -> dict[str, float]:
    """Spikes a neuron and step over all samples, by node; traces are kept of a few samples at a time."""
    spiking = [node.name for node in program if node.keeps_state and node.output == SPIKES]
    spikes, places = dict.fromkeys(spiking, 0), dict.fromkeys(spiking, 0)
    for start in range(0, len(samples) if spiking else 0, TRACED_AT_ONCE):
        for trace in simulate(program, samples[start : start + TRACED_AT_ONCE], trace=True, threads=threads):
            for name in spiking:
                spikes[name] += int(trace.values[name].sum())
                places[name] += trace.values[name].size
    return {name: spikes[name] / max(places[name], 1) for name in spiking}
