"""From a program to the plan that the compiled machine executes."""

from __future__ import annotations

from functools import lru_cache

from ....program import Program
from ..arenas import Plan
from .planner import BLOCK, Planner


@lru_cache(maxsize=8)  # a program is immutable and hashed by identity
def make_plan(program: Program, *, trace: bool = False, block: int = BLOCK) -> Plan:
    """Plan ``program`` for blocks of ``block`` events; ``trace`` keeps every edge and the states of every event."""
    return Planner(program, trace, block).plan
