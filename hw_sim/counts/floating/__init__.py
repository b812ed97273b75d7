"""The same graph in float32: what a straightforward float implementation executes for the same events."""

from __future__ import annotations

from collections.abc import Mapping

from ....program import nodes
from ....program.nodes import Node
from .loihi import loihi_lif
from .loihi import numbers as loihi_numbers
from .neurons import adaptive_lif, integrator_numbers, leaky_integrator, lif
from .neurons import numbers as neuron_numbers
from .rule import WIDTH, FloatRule
from .ssm import diagonal_ssm
from .ssm import numbers as ssm_numbers
from .stateless import add, batch_norm, embedding, layer_norm, linear, linear_numbers, lookup, multiply
from .windows import event_pool, pool_numbers, readout, readout_numbers

RULES: Mapping[type[Node], FloatRule] = {
    nodes.AdaptiveLIF: FloatRule(adaptive_lif, neuron_numbers),
    nodes.Add: FloatRule(add),
    nodes.BatchNorm: FloatRule(batch_norm, lambda node: 2 * node.channels),
    nodes.DiagonalSSM: FloatRule(diagonal_ssm, ssm_numbers),
    nodes.Embedding: FloatRule(embedding, lambda node: node.table.size),
    nodes.EventPool: FloatRule(event_pool, state=pool_numbers),
    nodes.LayerNorm: FloatRule(layer_norm, lambda node: node.gamma.size + node.beta.size),
    nodes.LeakyIntegrator: FloatRule(leaky_integrator, integrator_numbers),
    nodes.LIF: FloatRule(lif, neuron_numbers),
    nodes.Linear: FloatRule(linear, linear_numbers),
    nodes.LoihiLIF: FloatRule(loihi_lif, loihi_numbers),
    nodes.Lookup: FloatRule(lookup),
    nodes.Multiply: FloatRule(multiply),
    nodes.Readout: FloatRule(readout, state=readout_numbers),
}
"""Inputs are the host's and have no rule. A non-linearity needs no table."""


def parameter_bits(node: Node) -> int:
    """Bits of the parameters, 32 each."""
    return 0 if node.is_input else WIDTH * RULES[type(node)].parameters(node)


def state_bits(node: Node) -> int:
    """Bits of the state, 32 a number."""
    return 0 if node.is_input else WIDTH * RULES[type(node)].state(node)
