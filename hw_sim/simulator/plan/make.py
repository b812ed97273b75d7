"""From a program to the plan that the compiled machine executes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ....program import Program, ProgramError
from ....program.nodes import (
    LIF,
    AdaptiveLIF,
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    EventPool,
    GapInput,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    LoihiLIF,
    Lookup,
    Multiply,
    Node,
    Readout,
    TokenInput,
)
from ..arenas import Plan
from .inputs import plan_dense_input, plan_gap_input, plan_token_input
from .loihi import plan_loihi
from .neurons import plan_integrators, plan_neurons
from .planner import Planner
from .ssm import plan_ssm
from .stateless import plan_add, plan_batch_norm, plan_layer_norm, plan_linear, plan_lookup, plan_multiply
from .windows import plan_pool, plan_readout

FUNCTIONS: dict[type[Node], Callable[[Planner, Any], None]] = {
    AdaptiveLIF: plan_neurons,
    Add: plan_add,
    BatchNorm: plan_batch_norm,
    DenseInput: plan_dense_input,
    DiagonalSSM: plan_ssm,
    EventPool: plan_pool,
    GapInput: plan_gap_input,
    LIF: plan_neurons,
    LayerNorm: plan_layer_norm,
    LeakyIntegrator: plan_integrators,
    Linear: plan_linear,
    LoihiLIF: plan_loihi,
    Lookup: plan_lookup,
    Multiply: plan_multiply,
    Readout: plan_readout,
    TokenInput: plan_token_input,
}
"""How a node of each type is planned. An Embedding is always a table by token."""


@lru_cache(maxsize=8)  # a program is immutable and hashed by identity
def make_plan(program: Program, *, trace: bool = False) -> Plan:
    """Plan ``program``; ``trace`` keeps every edge and the states of every event.

    Raises:
        ProgramError: a node of a type that the simulator cannot run; names it.
    """
    planner = Planner(program, trace)
    for node in program:
        if node.name in planner.tables:
            continue
        if type(node) not in FUNCTIONS:
            raise ProgramError(f"node {node.name}: the simulator cannot run nodes of type {type(node).__name__}")
        FUNCTIONS[type(node)](planner, node)
    return planner.finish()
