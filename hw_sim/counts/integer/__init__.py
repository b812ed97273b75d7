"""What a program's own arithmetic does at each node, with zeros skipped; one function a node type."""

from __future__ import annotations

from ....program.nodes import Node
from ..edges import NodeCounter
from . import loihi, neurons, ssm, stateless, windows

COUNTERS: dict[type[Node], NodeCounter] = {
    **stateless.COUNTERS,
    **ssm.COUNTERS,
    **windows.COUNTERS,
    **neurons.COUNTERS,
    **loihi.COUNTERS,
}
"""Inputs are the host's and have no counter."""
