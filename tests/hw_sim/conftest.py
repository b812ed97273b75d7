"""Both modes of the simulator against the reference."""

from __future__ import annotations

import pytest
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run, run_stepwise
from pumice.program import reference

BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "run": lambda program, samples, trace: run(program, samples, trace=trace, threads=2),
    "step": lambda program, samples, trace: run_stepwise(program, samples, trace=trace, threads=2),
}


def _assert_equal(program, samples):
    result = compare(program, samples, BACKENDS, traced=len(samples))
    assert result.differing == 0, [verdict.first for verdict in result.verdicts]
    step = result.verdicts[1]
    assert step.nodes == (len(program.nodes), len(program.nodes))
    assert step.states[0] == step.states[1] > 0
    return result


@pytest.fixture(scope="session")
def assert_equal():
    """``assert_equal(program, samples)``: all edges, states, series, logits and counters; returns the comparison."""
    return _assert_equal


@pytest.fixture(scope="session")
def backends():
    """The reference and both modes, as `hw_sim.parity.compare` takes them."""
    return BACKENDS
