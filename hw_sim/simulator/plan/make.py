"""From a program to the plan that the compiled machine executes."""

from __future__ import annotations

from functools import lru_cache

from ....program import Program, ProgramError
from ....program.nodes import Node
from ..arenas import Plan
from . import inputs, loihi, neurons, ssm, stateless, windows
from .planner import NodePlanner, Planner

FUNCTIONS: dict[type[Node], NodePlanner] = {
    **inputs.FUNCTIONS,
    **stateless.FUNCTIONS,
    **ssm.FUNCTIONS,
    **windows.FUNCTIONS,
    **neurons.FUNCTIONS,
    **loihi.FUNCTIONS,
}
"""How a node of each type is planned."""


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
