"""Inputs of a program: tokens, dense values, gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arithmetic import round_half_up_real
from ..arrays import integers, reals
from ..formats import Format
from .base import Node, register_node

GAP_FORMAT = Format(width=48, signed=False, frac=0)
"""Of every edge of gaps, pooled ones included."""


@dataclass(frozen=True, eq=False, kw_only=True)
class ValueInput(Node):
    """An input that takes what an event carries."""

    is_input = True

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of what one event carries."""
        raise NotImplementedError

    @property
    def what(self) -> str:
        """What an event carries, in words."""
        raise NotImplementedError

    def accept(self, given: Any) -> np.ndarray:
        """What is given as values (L, *event_shape), as numbers of the right kind and of any shape.

        Raises:
            ProgramError: another kind of numbers, or masked entries.
        """
        raise NotImplementedError

    def refused(self, values: np.ndarray) -> tuple[np.ndarray, str]:
        """Which accepted values it cannot take, (L,) bool, and why."""
        raise NotImplementedError

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Accepted values (L, channels) as codes of the output's format, int64."""
        raise NotImplementedError


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class TokenInput(ValueInput):
    """The event's token in ``[0, vocab)``. Output: one channel."""

    equation = "y = token"

    vocab: int

    @property
    def channels(self) -> int:
        return 1

    @property
    def event_shape(self) -> tuple[int, ...]:
        return ()

    @property
    def what(self) -> str:
        return f"token, 0 to {self.vocab - 1}"

    @property
    def code_range(self) -> tuple[int, int]:
        return 0, self.vocab - 1

    @property
    def detail(self) -> str:
        return f"{self.vocab} tokens"

    def accept(self, given: Any) -> np.ndarray:
        return integers("tokens", given)

    def refused(self, values: np.ndarray) -> tuple[np.ndarray, str]:
        return (values < 0) | (values >= self.vocab), f"lies outside [0, {self.vocab})"

    def codes(self, values: np.ndarray) -> np.ndarray:
        return values

    def validate(self) -> None:
        self.require(self.vocab >= 1, "the vocabulary is empty")
        self.require(self.output.max >= self.vocab - 1, f"{self.output} cannot hold {self.vocab} tokens")


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class DenseInput(ValueInput):
    """Real-valued input ``x`` of ``size`` channels, quantized by the host: ``q = sat(floor(x 2**frac + 1/2))``."""

    equation = "q = sat(floor(x 2**frac + 1/2))"

    size: int

    @property
    def channels(self) -> int:
        return self.size

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def what(self) -> str:
        return f"codes of format {self.output}: sat(floor(x 2**{self.output.frac} + 1/2))"

    def accept(self, given: Any) -> np.ndarray:
        return reals("values", given)

    def refused(self, values: np.ndarray) -> tuple[np.ndarray, str]:
        return ~np.isfinite(values).all(axis=1), "holds NaN or infinity"

    def codes(self, values: np.ndarray) -> np.ndarray:
        scaled = round_half_up_real(values * 2.0**self.output.frac)
        return np.clip(scaled, self.output.min, self.output.max).astype(np.int64)

    def validate(self) -> None:
        self.require(self.size >= 1, "the input has no channels")


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class GapInput(Node):
    """Time since the previous event, in units of ``unit_us`` microseconds, from rounded absolute times (clock.py)."""

    equation = "n = ticks since the previous event"
    is_input = True

    unit_us: int

    @property
    def detail(self) -> str:
        return f"ticks of {self.unit_us} us"

    @property
    def channels(self) -> int:
        return 1

    def validate(self) -> None:
        self.require(1 <= self.unit_us <= 1 << 40, f"a tick of {self.unit_us} us is outside 1..2**40")
        self.require(self.output == GAP_FORMAT, f"gaps have format {GAP_FORMAT}")
