"""Neurons and leaky integrators: one object a node, one call a time step. Only valid steps reach them."""

from __future__ import annotations

import numpy as np

from ....program.arithmetic import round_half_up_shift, saturate
from ....program.nodes import AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons
from ....program.nodes.resets import SUBTRACTING, is_late


class NeuronState:
    """A layer of neurons: potentials u, spikes z of the step before and refractory steps left c; (H,) int64 each."""

    def __init__(self, node: Neurons) -> None:
        self.node = node
        self._input, self._recurrent = node.input.astype(np.int64), node.recurrent.astype(np.int64)
        self._constants = {name: getattr(node, name).astype(np.int64) for name in node.constants}
        self._u = self._z = self._c = np.zeros(node.neurons, dtype=np.int64)

    @property
    def codes(self) -> np.ndarray:
        """u."""
        return self._u

    def step(self, value: np.ndarray) -> np.ndarray:
        """One time step. Shapes: value (F,) -> spikes (H,)."""
        return self.advance(self._input @ value, self._recurrent @ self._z if self.node.is_recurrent else None)

    def advance(self, driven: np.ndarray, recurrent: np.ndarray | None = None) -> np.ndarray:
        """One time step from the products ``W x`` and ``V z'`` (H,), made here or elsewhere, to the spikes (H,)."""
        node = self.node
        total = (driven << node.input_shift) + node.bias
        if recurrent is not None:
            total = total + (recurrent << node.recurrent_shift)
        current = round_half_up_shift(total, node.current_shift)
        u, z = self._fire(self._drive(current))
        self._adapt(u, z)
        self._u, self._z = u, z
        self._c = np.where(z > 0, node.refractory, np.maximum(self._c - 1, 0))
        return z

    def _drive(self, current: np.ndarray) -> np.ndarray:
        """What ``rise`` multiplies."""
        return current

    def _fire(self, drive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Potentials after the reset, and spikes."""
        node, (decayed, driven, right) = self.node, self.node.potential_shifts
        total = (self._constants["alpha"] * self._u << decayed) + (self._constants["rise"] * drive << driven)
        raised, late = round_half_up_shift(total, right), is_late(node.reset)
        if late:
            raised = self._fall(raised, self._u > node.threshold)
        held = self._c > 0
        u = np.where(held, self._u, saturate(raised, node.potential)[0])
        spiked = (u > node.threshold) & ~held
        return (u if late else self._fall(u, spiked)), spiked.astype(np.int64)

    def _fall(self, u: np.ndarray, spiked: np.ndarray) -> np.ndarray:
        """What the reset leaves of potentials."""
        left = u - self.node.threshold if self.node.reset in SUBTRACTING else 0
        return np.where(spiked, left, u)

    def _adapt(self, u: np.ndarray, z: np.ndarray) -> None:
        """What else changes in a step, from its potentials and spikes."""


class AdaptiveState(NeuronState):
    """Adaptive neurons: adaptations w (H,) int64 beside u and z."""

    node: AdaptiveLIF

    def __init__(self, node: AdaptiveLIF) -> None:
        super().__init__(node)
        self._w = np.zeros(node.neurons, dtype=np.int64)

    @property
    def codes(self) -> np.ndarray:
        """u, then w."""
        return np.concatenate([self._u, self._w])

    def _drive(self, current: np.ndarray) -> np.ndarray:
        own, adapted = self.node.drive_shifts
        return (current << own) - (self._w << adapted)

    def _adapt(self, u: np.ndarray, z: np.ndarray) -> None:
        kept, coupled, jumped, right = self.node.adaptation_shifts
        if self.node.order == "ef":
            u, z = self._u, self._z  # of the step before
        total = self._constants["beta"] * self._w << kept
        total = total + (self._constants["coupling"] * u << coupled) + (self._constants["jump"] * z << jumped)
        self._w = saturate(round_half_up_shift(total, right), self.node.adaptation)[0]


class CubaState(NeuronState):
    """Current-based neurons: synaptic currents i (H,) int64 beside u and z."""

    node: CubaLIF

    def __init__(self, node: CubaLIF) -> None:
        super().__init__(node)
        self._i = np.zeros(node.neurons, dtype=np.int64)

    @property
    def codes(self) -> np.ndarray:
        """u, then i."""
        return np.concatenate([self._u, self._i])

    def _drive(self, current: np.ndarray) -> np.ndarray:
        kept, arriving, right = self.node.synapse_shifts
        total = (self._constants["beta"] * self._i << kept) + (current << arriving)
        self._i = saturate(round_half_up_shift(total, right), self.node.synapse)[0]
        return self._i


class DrivenState:
    """Neurons that a current drives: ``codes`` (H,) int64, their potentials."""

    def __init__(self, node: DrivenLIF) -> None:
        self.node = node
        self.codes = np.zeros(node.channels, dtype=np.int64)
        self._alpha = node.alpha.astype(np.int64)

    def step(self, value: np.ndarray) -> np.ndarray:
        """One time step. Shapes: value (H,), the current -> spikes (H,)."""
        node = self.node
        u = saturate(round_half_up_shift(self._alpha * self.codes, node.alpha_frac) + value, node.potential)[0]
        fired = u > node.threshold
        self.codes = np.where(fired, 0, u)
        return fired.astype(np.int64)


class IntegratorState:
    """Leaky integrators: ``codes`` (C,) int64, their potentials."""

    def __init__(self, node: LeakyIntegrator) -> None:
        self.node = node
        self.codes = np.zeros(node.channels, dtype=np.int64)
        self._weight, self._decay = node.weight.astype(np.int64), node.decay.astype(np.int64)

    def step(self, value: np.ndarray) -> np.ndarray:
        """One time step. Shapes: value (F,) -> potentials (C,)."""
        return self.advance(self._weight @ value)

    def advance(self, driven: np.ndarray) -> np.ndarray:
        """One time step from the product ``W x`` (C,), made here or elsewhere, to the potentials (C,)."""
        node = self.node
        total = (self._decay * self.codes << node.decay_shift) + (driven << node.weight_shift) + node.bias
        self.codes = saturate(round_half_up_shift(total, node.output_shift), node.output)[0]
        return self.codes
