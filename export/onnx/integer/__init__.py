"""One writer a node type: emits the operations of one event on a batch."""

from __future__ import annotations

from ....program.nodes import Node
from ..dialect import Dialect, Writer
from ..tables import token_tables
from . import neurons, ssm, stateless, windows

_WRITERS: dict[type[Node], Writer] = {
    **stateless.WRITERS,
    **ssm.WRITERS,
    **windows.WRITERS,
    **neurons.WRITERS,
}

INTEGER = Dialect(
    "a program in integer operators, exact in every bit", "exact", _WRITERS, windows.UPDATERS, token_tables
)
"""The program's own arithmetic."""
