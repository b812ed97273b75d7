"""What depends on the event's token alone, computed once for each token when a model is written."""

from __future__ import annotations

import numpy as np

from ...program import Program
from ...program.arithmetic import round_half_up_shift
from ...program.nodes import DiagonalSSM, EventPool, Readout, TokenInput
from ...program.reference.batch import Batch
from ...program.reference.interpreter import FUNCTIONS

DRIVE = ":drive"
"""Goes after a state-space node's name for the table of ``rhu(B u + b)``."""

LARGEST = 1 << 18
"""Entries of all tables together; with larger ones the operations are written instead."""


def token_tables(program: Program) -> dict[str, np.ndarray]:
    """Tables (vocab, channels) int64 of the edges behind the token that no state or gap enters, and of drives.

    Empty for dense input, and where the tables were too large. The embedding is a table in any case and not among
    them.
    """
    source = program.value_input
    if not isinstance(source, TokenInput):
        return {}
    batch = Batch(program, np.array([source.vocab], dtype=np.int64), trace=True)
    edges = {source.name: np.arange(source.vocab, dtype=np.int64)[None, :, None]}
    tables: dict[str, np.ndarray] = {}
    for node in program:
        known = bool(node.inputs) and all(edge in edges for edge in node.inputs)
        if isinstance(node, DiagonalSSM) and node.inputs[0] in edges:
            tables[node.name + DRIVE] = _drive(node, edges[node.inputs[0]][0])
        elif known and not isinstance(node, (DiagonalSSM, EventPool, Readout)):
            inputs = [edges[edge] for edge in node.inputs]
            edges[node.name] = FUNCTIONS[type(node)](node, inputs, batch.valid(1), batch)
            if node.inputs != (source.name,):
                tables[node.name] = edges[node.name][0]
        if sum(table.size for table in tables.values()) > LARGEST:
            return {}
    return tables


def _drive(node: DiagonalSSM, u: np.ndarray) -> np.ndarray:
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    return round_half_up_shift(u @ weight.T + bias, np.tile(node.drive_shift, 2))
