"""Layers of neurons of one kind, one behind the other, and the constants of a step of all of them at once.

A vector of N numbers holds all layers, the read-out last: a neuron that never fires, whose current is its exact sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .....program import Program
from .....program.nodes import LIF, AdaptiveLIF, LeakyIntegrator, Neurons
from .....program.nodes.neurons import ORDERS
from .....program.nodes.resets import ZERO

NEVER = 2.0**60
"""A threshold that no potential reaches."""


@dataclass(frozen=True)
class Block:
    """Weights (out, in) from the spikes of one layer to the currents of another, by two to the power of each row's
    exponent."""

    source: int
    to: int
    weight: np.ndarray
    exponent: np.ndarray


@dataclass(frozen=True)
class Chain:
    """Layers of one kind, each of which reads the one before, and the integrators that read the last."""

    layers: tuple[Any, ...]
    readout: LeakyIntegrator

    @property
    def sizes(self) -> list[int]:
        return [*(node.neurons for node in self.layers), self.readout.channels]

    @cached_property
    def ends(self) -> list[int]:
        """Where layers begin in a vector of all, and where it ends."""
        return np.cumsum([0, *self.sizes]).tolist()

    @property
    def delay(self) -> int:
        """Steps by which the read-out is behind the first layer."""
        return len(self.layers)

    @property
    def adapts(self) -> bool:
        return self.layers[0].kind in ORDERS

    @cached_property
    def exact(self) -> bool:
        """Whether no current is rounded, so that what rises from it is one sum with the rest."""
        return all(node.current_shift.max() <= 0 for node in self.layers)

    @property
    def quiet(self) -> bool:
        """Whether a step tells who has not spiked, which is what a reset to zero multiplies potentials by."""
        return bool(self.layers[0].reset == ZERO)

    def rows(self, of: Callable[[Any], Any], readout: Any = 0) -> np.ndarray:
        """Numbers (N,): those of each layer's neurons, and of the read-out."""
        parts = [np.broadcast_to(np.asarray(of(node), np.float64), node.neurons) for node in self.layers]
        return np.concatenate([*parts, np.broadcast_to(np.asarray(readout, np.float64), self.readout.channels)])

    @cached_property
    def kept(self) -> np.ndarray:
        """What potentials are multiplied by."""
        o = self.readout
        own = np.ldexp(o.decay.astype(np.float64), (o.decay_shift - o.output_shift).astype(np.int64))
        return self.rows(lambda node: np.ldexp(node.alpha.astype(np.float64), _potential(node)[0]), own)

    @cached_property
    def risen(self) -> np.ndarray:
        """What currents are multiplied by."""
        own = np.ldexp(1.0, -self.readout.output_shift.astype(np.int64))
        return self.rows(lambda node: np.ldexp(node.rise.astype(np.float64), _potential(node)[1]), own)

    @cached_property
    def lost(self) -> np.ndarray:
        """What adaptations are multiplied by."""
        return self.rows(lambda node: -np.ldexp(node.rise.astype(np.float64), _potential(node)[2]))

    @cached_property
    def halves(self) -> np.ndarray:
        """Of the rounding of potentials."""
        own = np.where(self.readout.output_shift > 0, 0.5, 0.0)
        return self.rows(lambda node: 0.5 * (node.potential_shifts[2] > 0), own)

    @cached_property
    def thresholds(self) -> np.ndarray:
        return self.rows(lambda node: node.threshold, NEVER)

    def adaptation(self, part: int) -> np.ndarray:
        """Of the sum that becomes the adaptation: factors of it, of potentials and of spikes, and the half."""

        def of(node: Any) -> Any:
            *shifts, right = node.adaptation_shifts
            codes = (node.beta, node.coupling, node.jump)
            return 0.5 * (right > 0) if part == 3 else np.ldexp(codes[part].astype(np.float64), shifts[part] - right)

        return self.rows(of)

    def blocks(self) -> Iterator[Block]:
        """Every product of spikes, in units of the current."""
        for place, node in enumerate(self.layers):
            if node.is_recurrent:
                yield Block(place, place, node.recurrent, (node.recurrent_shift - node.current_shift).astype(np.int64))
            if place:
                yield Block(place - 1, place, node.input, self.fed(node))
        yield Block(self.delay - 1, self.delay, self.readout.weight, self.readout.weight_shift.astype(np.int64))

    def factor(self, block: Block) -> np.ndarray:
        """What each row of a product counts for: in currents, or in potentials where they are `exact`."""
        rows = self.risen[self.span(block.to)] if self.exact else np.ones(len(block.weight))
        return np.ldexp(rows, block.exponent)

    def span(self, place: int) -> slice:
        """The columns of a layer."""
        return slice(self.ends[place], self.ends[place + 1])

    @staticmethod
    def fed(node: Any) -> np.ndarray:
        """Exponents of ``W x`` in units of the current, (H,)."""
        return (node.input_shift - node.current_shift).astype(np.int64)

    @cached_property
    def fixed(self) -> np.ndarray:
        """What every step adds to its products: biases, halves, and all weights where products are of the quiet."""
        total = self.rows(lambda node: _constant(node.bias, node.current_shift), self.readout.bias)
        if self.exact:
            total = total * self.risen + self.halves
        for block in self.blocks() if self.quiet else ():
            total[self.span(block.to)] += self.factor(block) * block.weight.astype(np.int64).sum(axis=1)
        return total


def chain_of(program: Program) -> Chain | None:
    """The chain of a program's neurons, if they are one that can be written so."""
    layers, readouts = program.of_type(Neurons), program.of_type(LeakyIntegrator)
    if not layers or len(readouts) != 1 or program.rates[layers[0].name] != 1:
        return None
    chain, first = Chain(layers, readouts[0]), layers[0]
    same = all(_kind(node) == _kind(first) for node in layers)
    joined = all(after.inputs == (node.name,) for node, after in zip(layers, (*layers[1:], readouts[0]), strict=True))
    names = {node.name for node in layers}
    alone = sum(bool(names & set(node.inputs)) for node in program) == len(layers)
    known = type(first) in (LIF, AdaptiveLIF) and not any(node.refractory for node in layers)
    widths = {node.potential.width for node in layers} | {chain.readout.output.width}
    return chain if same and joined and alone and known and len(widths) == 1 else None


def _kind(node: Neurons) -> tuple[object, ...]:
    second = node.second
    return type(node), node.kind, node.reset, None if second is None else second.width


def _constant(bias: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Bias and half, in units of the current."""
    right = right.astype(np.int64)
    return np.ldexp(bias.astype(np.float64), -right) + np.where(right > 0, 0.5, 0.0)


def _potential(node: Any) -> tuple[int, int, int]:
    """Exponents of alpha, of rise on the current, and of rise on the adaptation, in units of u."""
    decayed, driven, right = node.potential_shifts
    own, adapted = node.drive_shifts if node.second is not None else (0, 0)
    return decayed - right, driven + own - right, driven + adapted - right
