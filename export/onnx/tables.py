"""What depends on the event's token alone, computed once for each token when a model is written."""

from __future__ import annotations

import numpy as np

from ...program import Program
from ...program.nodes import DiagonalSSM
from ...program.reference.ssm import drive
from ...program.reference.tokens import by_token

DRIVE = ":drive"
"""Goes after a state-space node's name for the table of ``rhu(B u + b)``."""

LARGEST = 1 << 18
"""Entries of all tables of edges together, and of all of drives; beyond it the operations are written instead."""


def token_tables(program: Program) -> dict[str, np.ndarray]:
    """Tables (vocab, channels) int64 of the edges that see the token alone (``tokens.py``), and of drives.

    Empty for dense input. The embedding is a table in any case and not among them.
    """
    token, room = program.value_input.name, LARGEST
    edges = {name: table.values for name, table in by_token(program, LARGEST).items()}
    tables = {name: values for name, values in edges.items() if program[name].inputs != (token,)}
    for node in program.of_type(DiagonalSSM):
        if node.inputs[0] in edges:
            u = edges[node.inputs[0]]
            if len(u) * node.channels <= room:
                room -= len(u) * node.channels
                tables[node.name + DRIVE] = drive(node, u)
    return tables
