"""What the tests of the simulator look for in plans."""

from __future__ import annotations

import pytest
from pumice.hw_sim.simulator import opcodes
from pumice.hw_sim.simulator.plan.make import make_plan


def _records(program, trace=False):
    a64, found = make_plan(program, trace=trace).build()[2], []
    at = a64[opcodes.H_START]
    while at < a64[opcodes.H_END]:
        found.append((int(a64[at + opcodes.OP]), int(a64[at + opcodes.WIDE])))
        at += a64[at + opcodes.LENGTH]
    return found


@pytest.fixture(scope="session")
def records():
    """``records(program, trace=False)``: (operation, type) of each record of the plan, in order."""
    return _records
