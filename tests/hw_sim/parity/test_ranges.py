"""Where real values lie in the codes that a program has for them, counted one by one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from pumice.hw_sim.parity.fidelity import STATE
from pumice.hw_sim.parity.ranges import ABOVE, LOWEST, ranges
from pumice.program.nodes import DiagonalSSM
from pumice.program.random.programs import random_program


@pytest.fixture(scope="module")
def program():
    return random_program(3, value="token", pairing="causal", stages=2, layers=1, stride=2)


def counted(values, bits, frac):
    """By a logarithm in Python, a value at a time."""
    found = Counter()
    for row in values:
        for value, own in zip(row, frac, strict=True):
            if value:
                found[min(max(math.floor(math.log2(abs(value)) + own) + 1, LOWEST), bits + ABOVE)] += 1
    return [found[e] for e in range(LOWEST, bits + ABOVE + 1)]


def test_values_are_counted_between_unit_and_limit(program):
    node = next(node for node in program if isinstance(node, DiagonalSSM))
    rng = np.random.default_rng(0)
    outputs = [rng.normal(size=(n, node.channels)) * 2.0 ** rng.integers(-12, 6, (n, node.channels)) for n in (7, 4)]
    size = len(node.state_fracs)
    states = [rng.normal(size=(n, size)) * 2.0 ** rng.integers(-20, 6, (n, size)) for n in (7, 4)]
    outputs[0][2, 1] = states[1][0, 0] = 0.0
    floats = [{node.name: o, node.name + STATE: s} for o, s in zip(outputs, states, strict=True)]
    found = ranges(program, floats)
    output, bits = node.output, node.output.width - node.output.signed
    assert found[node.name]["counts"] == counted(np.concatenate(outputs), bits, [output.frac] * node.channels)
    assert (found[node.name]["bits"], found[node.name]["zeros"], found[node.name]["first"]) == (bits, 1, LOWEST)
    (state,) = node.states()
    held = found[node.name + STATE]
    assert held["bits"] == state.width - 1
    assert held["counts"] == counted(np.concatenate(states), state.width - 1, node.state_fracs.tolist())
    assert sum(held["counts"]) + held["zeros"] == np.concatenate(states).size


def test_a_code_has_the_bits_of_its_magnitude(program):
    """So that what lies above the limit is what saturates, and what lies below 0 is what rounds to nothing."""
    node = next(node for node in program if node.output.signed and node.output.width == 8)
    highest, unit = 127, 2.0**-node.output.frac
    values = np.array([[highest, highest + 1, 1, 0.5, 0.49, -128]]) * unit
    counts = ranges(program, [{node.name: values}])[node.name]
    at = {counts["first"] + i: count for i, count in enumerate(counts["counts"]) if count}
    assert at == {7: 1, 8: 2, 1: 1, 0: 1, -1: 1}


def test_logits_are_no_codes_that_saturate(program):
    assert ranges(program, [{program.logits: np.ones((1, 3))}]) == {}
    assert ranges(program, []) == {}
