"""What a node tells of itself: the codes it keeps, and what it remembers from event to event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..formats import Format

SHIFT_BITS = 8
"""A shift or an exponent takes one byte."""

SUM_BITS = 64
"""Sums that only the length of a recording bounds, and counts."""

REAL_ROUNDED, COMPLEX_ROUNDED = 0.5, 0.71
"""Units that rounding a decay step of a real state can lose, and both components of a complex one: 1 / sqrt(2)."""

TRACED = "traced"
"""A state that is seen in the trace's ``states``."""

OUTPUT = "output"
"""A state that is seen as the node's output itself."""

HIDDEN = "hidden"
"""A state that is seen nowhere."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """Codes that a node keeps unchanged.

    Attributes:
        name: of the node's field or property.
        codes: as they are stored, of any shape.
        width: bits a code.
        whole: whether every run needs all of them (biases, scales, shifts). Of others, matrices and tables, an event
            may need a part.
    """

    name: str
    codes: np.ndarray
    width: int
    whole: bool = False

    @property
    def bits(self) -> int:
        """What they take in memory."""
        return self.codes.size * self.width


def stored(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Those that hold anything."""
    return tuple(tensor for tensor in tensors if tensor.codes.size)


def whole(name: str, codes: np.ndarray | int, width: int) -> Tensor:
    """Codes that every run needs."""
    return Tensor(name, np.atleast_1d(np.asarray(codes)), width, whole=True)


def biases(name: str, codes: np.ndarray, width: int) -> Tensor:
    """Codes that are added: none are kept where all are zero."""
    return whole(name, codes if np.any(codes) else codes.ravel()[:0], width)


def shared(name: str, codes: np.ndarray, width: int) -> Tensor:
    """Codes of rows or neurons (n,): a single one is kept where they agree."""
    return whole(name, codes[:1] if np.all(codes == codes[0]) else codes, width)


def shifts(name: str, exponents: np.ndarray | tuple[int, ...]) -> Tensor:
    """Shifts of rows (n,): a single one is kept where they agree, none where nothing is shifted."""
    codes = np.asarray(exponents)
    return shared(name, codes, SHIFT_BITS) if np.any(codes) else whole(name, codes[:0], SHIFT_BITS)


@dataclass(frozen=True, eq=False)
class State:
    """What a node remembers from one event to the next; zero at the start.

    Attributes:
        name: as equations name it; empty where the node has one alone.
        width: bits of a component.
        fracs: fractional bits of each component, (size,) int64.
        seen: TRACED, OUTPUT or HIDDEN. Traced states lie side by side in ``Trace.states``, in the node's order.
        loss: ``1 - |a|``, a the decay of one tick or step, float64, by mode or neuron; None where nothing decays.
        clock: the edge whose ticks the decay counts; empty: it decays by one step at each event.
        rounded: units that rounding can take from one decay step, at which a state stands still; None where it cannot,
            0 where nothing is meant to decay.
    """

    name: str
    width: int
    fracs: np.ndarray
    seen: str = TRACED
    loss: np.ndarray | None = None
    clock: str = ""
    rounded: float | np.ndarray | None = None

    @property
    def size(self) -> int:
        """Components."""
        return self.fracs.size

    @property
    def bits(self) -> int:
        """What they take in memory."""
        return self.size * self.width

    @property
    def decay(self) -> np.ndarray | None:
        """``|a|``, the share that one tick or step leaves, float64, by mode or neuron."""
        return None if self.loss is None else 1 - self.loss

    @property
    def dead_zone(self) -> np.ndarray | None:
        """Units within which rounding holds the state, by mode or neuron: ``rounded / (1 - |a|)``, at most the range.

        None where nothing decays, or where no rounding holds it.
        """
        if self.loss is None or self.rounded is None:
            return None
        return np.minimum(self.rounded / np.maximum(self.loss, 1e-300), float((1 << (self.width - 1)) - 1))

    def key(self, node: str) -> str:
        """How results name the state of the node called ``node``: ``<node>``, or ``<node>:<name>``."""
        return f"{node}:{self.name}" if self.name else node


def whole_codes(size: int) -> np.ndarray:
    """Fractional bits of components that are counted in whole codes: zeros (size,)."""
    return np.zeros(size, dtype=np.int64)


def decaying(name: str, format: Format, codes: np.ndarray, frac: int, seen: str = TRACED) -> State:
    """A real state (n,) that decays by ``codes`` at ``frac`` fractional bits in each step; a code of 1 is no decay."""
    fracs = np.full(len(codes), format.frac, dtype=np.int64)
    loss = 1 - np.ldexp(codes.astype(np.float64), -frac)
    rounded = REAL_ROUNDED if loss.all() else np.where(loss == 0, 0.0, REAL_ROUNDED)
    return State(name, format.width, fracs, seen, loss=loss, rounded=rounded)
