"""Traces: what every node of a network holds, as integer codes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..program.formats import Format
from .straight_through import codes

STATE = ":state"

NodeCodes = dict[str, Tensor]
"""int64 codes by node, (B, events at the node's rate, channels), rows beyond a sample's length meaningless; states
under ``<name>:state``; behind a read-out (B, channels)."""


class Recorder:
    """Keeps the codes of what a forward pass shows it.

    Args:
        trace: where to; None to keep nothing.
    """

    def __init__(self, trace: NodeCodes | None = None) -> None:
        self._trace = trace

    @property
    def listens(self) -> bool:
        """Whether anything is kept."""
        return self._trace is not None

    def __call__(self, name: str, value: Tensor, format: Format) -> None:
        """Keep the codes of values that lie on the grid of ``format``."""
        if self._trace is not None:
            self._trace[name] = codes(value, format)

    def states(self, name: str, parts: Iterable[tuple[Tensor, Format]]) -> None:
        """Keep the codes of the states of a node, (B, T, n) each, side by side."""
        if self._trace is not None:
            self._trace[name + STATE] = torch.cat([codes(value, format) for value, format in parts], dim=2)


NOTHING = Recorder()
"""Keeps nothing."""
