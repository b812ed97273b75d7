"""One writer a node type: emits the operations of one event on a batch."""

from __future__ import annotations

from collections.abc import Mapping

from ....program import nodes
from ....program.nodes import Node
from ..dialect import Dialect, Updater, Writer
from ..tables import token_tables
from .neurons import write_adaptive_lif, write_leaky_integrator, write_lif
from .ssm import write_diagonal_ssm
from .stateless import (
    write_add,
    write_batch_norm,
    write_embedding,
    write_gap_input,
    write_layer_norm,
    write_linear,
    write_lookup,
    write_multiply,
    write_value_input,
)
from .windows import read_event_pool, read_readout, update_event_pool, update_readout

_WRITERS: Mapping[type[Node], Writer] = {
    nodes.Embedding: write_embedding,
    nodes.Linear: write_linear,
    nodes.Lookup: write_lookup,
    nodes.Multiply: write_multiply,
    nodes.Add: write_add,
    nodes.BatchNorm: write_batch_norm,
    nodes.LayerNorm: write_layer_norm,
    nodes.DiagonalSSM: write_diagonal_ssm,
    nodes.LIF: write_lif,
    nodes.AdaptiveLIF: write_adaptive_lif,
    nodes.LeakyIntegrator: write_leaky_integrator,
    nodes.EventPool: read_event_pool,
    nodes.Readout: read_readout,
    nodes.TokenInput: write_value_input,
    nodes.DenseInput: write_value_input,
    nodes.GapInput: write_gap_input,
}

_UPDATERS: Mapping[type[Node], Updater] = {
    nodes.EventPool: update_event_pool,
    nodes.Readout: update_readout,
}

INTEGER = Dialect("a program in integer operators, exact in every bit", "exact", _WRITERS, _UPDATERS, token_tables)
"""The program's own arithmetic."""
