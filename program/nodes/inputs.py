"""Inputs of a program: tokens, dense values, gaps."""

from __future__ import annotations

from dataclasses import dataclass

from ..formats import Format
from .base import Node, register_node

GAP_FORMAT = Format(width=48, signed=False, frac=0)


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class TokenInput(Node):
    """The event's token in ``[0, vocab)``. Output: one channel."""

    vocab: int

    @property
    def channels(self) -> int:
        return 1

    def validate(self) -> None:
        self.require(self.vocab >= 1, "the vocabulary is empty")
        self.require(self.output.max >= self.vocab - 1, f"{self.output} cannot hold {self.vocab} tokens")


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class DenseInput(Node):
    """Real-valued input ``x`` of ``size`` channels, quantized by the host: ``q = sat(floor(x 2**frac + 1/2))``."""

    size: int

    @property
    def channels(self) -> int:
        return self.size

    def validate(self) -> None:
        self.require(self.size >= 1, "the input has no channels")


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class GapInput(Node):
    """Time since the previous event, in units of ``unit_us`` microseconds, from rounded absolute times (clock.py)."""

    unit_us: int

    @property
    def channels(self) -> int:
        return 1

    def validate(self) -> None:
        self.require(self.unit_us >= 1, f"a tick of {self.unit_us} us is not positive")
        self.require(self.output == GAP_FORMAT, f"gaps have format {GAP_FORMAT}")


INPUT_NODES = (TokenInput, DenseInput, GapInput)
