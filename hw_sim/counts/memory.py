"""Bits of parameters and of state that a node keeps."""

from __future__ import annotations

import numpy as np

from ...program.bounds import register
from ...program.nodes import (
    AdaptiveLIF,
    BatchNorm,
    DiagonalSSM,
    Embedding,
    EventPool,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    LoihiLIF,
    Lookup,
    Neurons,
    Node,
    Readout,
)
from ...program.nodes.inputs import GAP_FORMAT
from ...program.nodes.loihi import BIAS_LIMIT, DECAY_BITS, STATE_LIMIT, THRESHOLD_LIMIT

SHIFT_BITS = 8
"""A shift or exponent takes one byte."""

LOIHI_STATE_BITS = STATE_LIMIT.bit_length()
"""Bits of u and of v, each, in Loihi's own neurons."""


def register_bits(of: Node | str) -> int:
    """32 or 64: bits of a register (``"i32"``, ``"i64"``), or of the one that a node's largest intermediate needs."""
    name = of if isinstance(of, str) else register(max(of.bounds().values(), default=0))
    return {"i32": 32, "i64": 64}[name]


def matrix_bits(node: Node) -> int:
    """Bits of the matrices and tables, of which an event may need a part."""
    if isinstance(node, Linear):
        return sum(weight.size * width for weight, width in zip(node.weights, node.weight_widths, strict=True))
    if isinstance(node, Embedding):
        return node.table.size * node.table_width
    if isinstance(node, Lookup):
        return node.table.size * node.output.width
    if isinstance(node, DiagonalSSM):
        return 2 * node.input_re.size * node.input_width + node.digits * digit_bits(node)
    if isinstance(node, Neurons):
        return node.input.size * node.input_width + node.recurrent.size * node.recurrent_width
    if isinstance(node, LoihiLIF):
        return (node.weight.size + node.recurrent.size) * node.weight_bits
    if isinstance(node, LeakyIntegrator):
        return node.weight.size * node.weight_width
    return 0


def digit_bits(node: DiagonalSSM) -> int:
    """Bits of one digit's decays: two codes and an exponent a mode."""
    return node.modes * (2 * node.decay_width + SHIFT_BITS)


def fixed_parameter_bits(node: Node) -> int:
    """Bits of the parameters that every run needs in full: biases that are not all zero, scales, shifts a row."""
    if isinstance(node, Linear):
        shifts = (*node.operand_shifts, node.output_shift)
        return _bias(register_bits(node.accumulator), node.bias) + sum(_shifts(shift) for shift in shifts)
    if isinstance(node, DiagonalSSM):
        bias = _bias(register_bits(node.drive_accumulator), node.bias_re, node.bias_im)
        return bias + _shifts(node.drive_shift)
    if isinstance(node, BatchNorm):
        return node.channels * node.multiplier_width + _bias(register_bits(node), node.bias) + _shifts(node.shift)
    if isinstance(node, LayerNorm):
        codes = (node.gamma, node.beta)
        return 64 + sum(code.size * (int(np.abs(code).max()).bit_length() + 1) for code in codes if code.size)
    if isinstance(node, Neurons):
        return _neuron_bits(node)
    if isinstance(node, LoihiLIF):  # two decays, a threshold and an exponent serve the layer
        shared = 2 * DECAY_BITS + THRESHOLD_LIMIT.bit_length() + (SHIFT_BITS if node.weight_exponent else 0)
        return shared + _bias(BIAS_LIMIT.bit_length() + 1, node.bias)
    if isinstance(node, LeakyIntegrator):
        shifts = (node.weight_shift, node.decay_shift, node.output_shift)
        codes = node.decay.size * node.decay_width + _bias(register_bits(node), node.bias)
        return codes + sum(_shifts(shift) for shift in shifts)
    return 0


def _neuron_bits(node: Neurons) -> int:
    """Constants of each neuron, threshold, bias and shifts."""
    shifts = [node.input_shift, node.current_shift, np.array(node.potential_shifts)]
    if node.is_recurrent:
        shifts.append(node.recurrent_shift)
    if isinstance(node, AdaptiveLIF):
        shifts += [np.array(node.drive_shifts), np.array(node.adaptation_shifts)]
    bias = _bias(register_bits(register(node.bounds()["the current"])), node.bias)
    codes = len(node.constants) * node.neurons * node.constant_width + thresholds(node) * node.potential.width
    return codes + bias + sum(map(_shifts, shifts))


def thresholds(node: Neurons) -> int:
    """Thresholds that are kept: one for all neurons where they agree."""
    return 1 if np.all(node.threshold == node.threshold[0]) else node.neurons


def parameter_bits(node: Node) -> int:
    """Bits of everything that the node keeps unchanged."""
    return matrix_bits(node) + fixed_parameter_bits(node)


def state_bits(node: Node) -> int:
    """Bits of what the node remembers from event to event; counters of windows are left out."""
    if isinstance(node, DiagonalSSM):
        return 2 * node.modes * node.state_width
    if isinstance(node, EventPool):
        return pool_bits(node)
    if isinstance(node, Readout):
        ring = node.size * node.format.width * node.window
        held = node.size * node.output.width
        sums = {"mean": 64 * (node.size + 1), "time": 64 * (2 * node.size + 2), "window": ring}
        return sums.get(node.mode, held)
    if isinstance(node, Neurons):
        return node.neurons * (node.potential.width + _adaptation_bits(node) + remembers_spikes(node))
    if isinstance(node, LoihiLIF):
        return node.neurons * (2 * LOIHI_STATE_BITS + node.is_recurrent)
    if isinstance(node, LeakyIntegrator):
        return node.channels * node.output.width
    return 0


def _adaptation_bits(node: Neurons) -> int:
    return node.adaptation.width if isinstance(node, AdaptiveLIF) else 0


def remembers_spikes(node: Neurons) -> bool:
    """Whether the spikes of the step before are needed."""
    return node.is_recurrent or (isinstance(node, AdaptiveLIF) and node.order == "ef")


def pool_bits(node: EventPool) -> int:
    """Bits of the sums of one window; in mode ``time`` weighted and plain sums and the sum of weights, 64 bits each."""
    if node.mode == "time":
        return 64 * (2 * node.size + 1)
    if node.mode == "first":
        return node.size * node.format.width
    if node.format == GAP_FORMAT:
        return node.size * 64
    return node.size * (node.format.width + (node.window - 1).bit_length())


def _bias(bits: int, *codes: np.ndarray) -> int:
    return sum(code.size * bits for code in codes) if any(np.any(code) for code in codes) else 0


def _shifts(shift: np.ndarray) -> int:
    """One byte a row, or one for all rows where they agree; none where nothing is shifted."""
    if not np.any(shift):
        return 0
    return SHIFT_BITS * (1 if np.all(shift == shift[0]) else shift.size)
