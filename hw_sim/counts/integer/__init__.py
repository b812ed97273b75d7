"""What a program's own arithmetic does at each node, with zeros skipped; one function a node type."""

from __future__ import annotations

from collections.abc import Mapping

from ....program import nodes
from ....program.nodes import Node
from ..edges import NodeCounter
from .loihi import loihi_lif
from .neurons import adaptive_lif, leaky_integrator, lif
from .ssm import diagonal_ssm
from .stateless import add, batch_norm, embedding, layer_norm, linear, lookup, multiply
from .windows import event_pool, readout

COUNTERS: Mapping[type[Node], NodeCounter] = {
    nodes.AdaptiveLIF: adaptive_lif,
    nodes.Add: add,
    nodes.BatchNorm: batch_norm,
    nodes.DiagonalSSM: diagonal_ssm,
    nodes.Embedding: embedding,
    nodes.EventPool: event_pool,
    nodes.LayerNorm: layer_norm,
    nodes.LeakyIntegrator: leaky_integrator,
    nodes.LIF: lif,
    nodes.Linear: linear,
    nodes.LoihiLIF: loihi_lif,
    nodes.Lookup: lookup,
    nodes.Multiply: multiply,
    nodes.Readout: readout,
}
"""Inputs are the host's and have no counter."""
