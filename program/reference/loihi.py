"""The reference of Loihi's own neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..nodes import LoihiLIF, Node
from ..nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT

if TYPE_CHECKING:
    from .batch import Batch, NodeFunction


def loihi_lif(node: LoihiLIF, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Current-based LIF, step by step."""
    samples, steps, _ = inputs[0].shape
    u = v = z = np.zeros((samples, node.neurons), dtype=np.int64)
    spikes = np.zeros((samples, steps, node.neurons), dtype=np.int64)
    states = np.zeros((samples, steps, 2 * node.neurons), dtype=np.int64)
    bias = node.bias.astype(np.int64) << ALIGNMENT
    du, dv, threshold = node.each("du"), node.each("dv"), node.each("vth") << ALIGNMENT
    for t in range(steps):
        arriving = _dense(node, node.weight, inputs[0][:, t])
        if node.is_recurrent:
            arriving = arriving + _dense(node, node.recurrent, z)
        current = _decayed(u, du + 1) + (arriving << ALIGNMENT)
        u = np.where(current > STATE_LIMIT, current - 2 * STATE_LIMIT, current)
        u = np.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)
        potential = _decayed(v, dv) + u + bias
        v = np.clip(potential, 1 - STATE_LIMIT, STATE_LIMIT - 1)
        lost = (u != current).sum(axis=1) + (v != potential).sum(axis=1)
        batch.saturations[node.name] += np.where(valid[:, t], lost, 0)
        z = (v > threshold).astype(np.int64)
        v = v * (1 - z)
        spikes[:, t], states[:, t] = z, np.concatenate([u, v], axis=1)
    if batch.trace:
        batch.states[node.name] = states
    return spikes


def _dense(node: LoihiLIF, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    total = x @ weight.astype(np.int64).T
    return total << node.weight_exponent if node.weight_exponent > 0 else total >> -node.weight_exponent


def _decayed(state: np.ndarray, decay: np.ndarray) -> np.ndarray:
    """``trunc(state (4096 - decay) / 4096)``, towards zero."""
    kept = np.abs(state) * ((1 << DECAY_BITS) - decay)
    return np.sign(state) * (kept >> DECAY_BITS)


FUNCTIONS: dict[type[Node], NodeFunction] = {LoihiLIF: loihi_lif}
