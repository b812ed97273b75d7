"""One writer a node type, in float64: the same integers as ``integer/``, in fewer and faster operations."""

from __future__ import annotations

from ....program.nodes import Node
from ..dialect import Dialect, Writer
from ..tables import token_tables
from . import neurons, ssm, stateless, whole, windows
from .packed import PackedEvent

_WRITERS: dict[type[Node], Writer] = {
    **stateless.WRITERS,
    **ssm.WRITERS,
    **windows.WRITERS,
    **neurons.WRITERS,
}

DOUBLES = Dialect(
    "a program in whole numbers of float64, exact in every bit",
    "exact",
    _WRITERS,
    windows.UPDATERS,
    token_tables,
    PackedEvent,
    whole.build_whole,
)
"""The program's own arithmetic, in the element type that holds all of it."""
