"""The reference of neurons and integrators: loops over time steps, vectorised over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arithmetic import round_half_up_shift
from ..nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ..nodes.resets import SUBTRACTING, is_late

if TYPE_CHECKING:
    from .batch import Batch, NodeFunction


def lif(node: LIF, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Leaky integrate-and-fire, step by step."""
    x = inputs[0]
    samples, steps, _ = x.shape
    u = z = c = np.zeros((samples, node.neurons), dtype=np.int64)
    spikes = np.zeros((samples, steps, node.neurons), dtype=np.int64)
    states = np.zeros_like(spikes) if batch.trace else None
    for t in range(steps):
        raised = before_store(node, u, potential(node, u, current(node, x[:, t], z)), c)
        u, z = fired(node, batch.store(node, raised, node.potential, valid[:, t]), c)
        c = counted(node, c, z)
        spikes[:, t] = z
        if states is not None:
            states[:, t] = u
    if states is not None:
        batch.states[node.name] = states
    return spikes


def cuba_lif(node: CubaLIF, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Current-based leaky integrate-and-fire, step by step."""
    x = inputs[0]
    samples, steps, _ = x.shape
    u = i = z = c = np.zeros((samples, node.neurons), dtype=np.int64)
    spikes = np.zeros((samples, steps, node.neurons), dtype=np.int64)
    states = np.zeros((samples, steps, 2 * node.neurons), dtype=np.int64) if batch.trace else None
    for t in range(steps):
        i = batch.store(node, synapse(node, i, current(node, x[:, t], z)), node.synapse, valid[:, t])
        raised = before_store(node, u, potential(node, u, i), c)
        u, z = fired(node, batch.store(node, raised, node.potential, valid[:, t]), c)
        c = counted(node, c, z)
        spikes[:, t] = z
        if states is not None:
            states[:, t] = np.concatenate([u, i], axis=1)
    if states is not None:
        batch.states[node.name] = states
    return spikes


def adaptive_lif(node: AdaptiveLIF, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Adaptive LIF of either order, step by step."""
    x = inputs[0]
    samples, steps, _ = x.shape
    u = w = z = c = np.zeros((samples, node.neurons), dtype=np.int64)
    spikes = np.zeros((samples, steps, node.neurons), dtype=np.int64)
    states = np.zeros((samples, steps, 2 * node.neurons), dtype=np.int64) if batch.trace else None
    for t in range(steps):
        u_before, z_before = u, z
        drive = adapted_drive(node, current(node, x[:, t], z), w)
        raised = before_store(node, u, potential(node, u, drive), c)
        u, z = fired(node, batch.store(node, raised, node.potential, valid[:, t]), c)
        c = counted(node, c, z)
        seen = (u, z) if node.order == "se" else (u_before, z_before)
        w = batch.store(node, adaptation(node, w, *seen), node.adaptation, valid[:, t])
        spikes[:, t] = z
        if states is not None:
            states[:, t] = np.concatenate([u, w], axis=1)
    if states is not None:
        batch.states[node.name] = states
    return spikes


def driven_lif(node: DrivenLIF, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Leaky integrate-and-fire of a current that arrives, step by step."""
    arriving = inputs[0]
    spikes, states = np.zeros_like(arriving), np.zeros_like(arriving)
    u = np.zeros((len(arriving), node.channels), dtype=np.int64)
    for t in range(arriving.shape[1]):
        u = batch.store(node, driven_potential(node, u, arriving[:, t]), node.potential, valid[:, t])
        z = (u > node.threshold).astype(np.int64)
        u = u * (1 - z)
        spikes[:, t], states[:, t] = z, u
    if batch.trace:
        batch.states[node.name] = states
    return spikes


def leaky_integrator(node: LeakyIntegrator, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``o = sat(rhu(decay o' + W x + bias))``, step by step."""
    driven = np.left_shift(inputs[0] @ node.weight.astype(np.int64).T, node.weight_shift) + node.bias.astype(np.int64)
    potentials = np.zeros_like(driven)
    o = np.zeros((len(driven), node.channels), dtype=np.int64)
    for t in range(driven.shape[1]):
        total = np.left_shift(node.decay.astype(np.int64) * o, node.decay_shift) + driven[:, t]
        o = batch.store(node, round_half_up_shift(total, node.output_shift), node.output, valid[:, t])
        potentials[:, t] = o
    return potentials


def current(node: Neurons, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``I = rhu(W x + V z + bias)``. Shapes: x (B, F), z (B, H) -> (B, H)."""
    total = np.left_shift(x @ node.input.astype(np.int64).T, node.input_shift) + node.bias.astype(np.int64)
    if node.is_recurrent:
        total = total + np.left_shift(z @ node.recurrent.astype(np.int64).T, node.recurrent_shift)
    return round_half_up_shift(total, node.current_shift)


def adapted_drive(node: AdaptiveLIF, arriving: np.ndarray, w: np.ndarray) -> np.ndarray:
    """``I - w'``, I arriving, at the finer one's fractional bits."""
    own, adapted = node.drive_shifts
    return np.left_shift(arriving, own) - np.left_shift(w, adapted)


def potential(node: Neurons, u: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """``rhu(alpha u' + rise drive)``, before it is saturated."""
    decayed, driven, right = node.potential_shifts
    total = np.left_shift(node.alpha.astype(np.int64) * u, decayed)
    total = total + np.left_shift(node.rise.astype(np.int64) * drive, driven)
    return round_half_up_shift(total, right)


def before_store(node: Neurons, u: np.ndarray, raised: np.ndarray, c: np.ndarray) -> np.ndarray:
    """What is stored of the potential ``raised``: u' where it is held, of which c' (B, H) tells; what a late reset
    leaves, where u' tells of a spike.
    """
    if not is_late(node.reset):
        return np.where(c > 0, u, raised)
    spiked = (u > node.threshold).astype(np.int64)
    return raised - node.threshold * spiked if node.reset in SUBTRACTING else raised * (1 - spiked)


def fired(node: Neurons, u: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is kept of the potential u^, and the spikes, none where c' (B, H) says that it is held."""
    z = ((u > node.threshold) & (c == 0)).astype(np.int64)
    if is_late(node.reset):
        return u, z
    return u - node.threshold * z if node.reset in SUBTRACTING else u * (1 - z), z


def counted(node: Neurons, c: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The refractory steps that are left after this one."""
    return np.where(z > 0, node.refractory, np.maximum(c - 1, 0))


def synapse(node: CubaLIF, i: np.ndarray, arriving: np.ndarray) -> np.ndarray:
    """``rhu(beta i' + I)``, before it is saturated."""
    kept, left, right = node.synapse_shifts
    total = np.left_shift(node.beta.astype(np.int64) * i, kept) + np.left_shift(arriving, left)
    return round_half_up_shift(total, right)


def driven_potential(node: DrivenLIF, u: np.ndarray, arriving: np.ndarray) -> np.ndarray:
    """``rhu(alpha u') + I``, before it is saturated."""
    return round_half_up_shift(node.alpha.astype(np.int64) * u, node.alpha_frac) + arriving


def adaptation(node: AdaptiveLIF, w: np.ndarray, u: np.ndarray, z: np.ndarray) -> np.ndarray:
    """``rhu(beta w' + coupling u + jump z)``, before it is saturated."""
    kept, coupled, jumped, right = node.adaptation_shifts
    total = np.left_shift(node.beta.astype(np.int64) * w, kept)
    total = total + np.left_shift(node.coupling.astype(np.int64) * u, coupled)
    total = total + np.left_shift(node.jump.astype(np.int64) * z, jumped)
    return round_half_up_shift(total, right)


FUNCTIONS: dict[type[Node], NodeFunction] = {
    LIF: lif,
    AdaptiveLIF: adaptive_lif,
    CubaLIF: cuba_lif,
    DrivenLIF: driven_lif,
    LeakyIntegrator: leaky_integrator,
}
