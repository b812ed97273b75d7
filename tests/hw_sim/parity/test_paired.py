"""Paired disagreements against counting one by one and the binomial sum."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pumice.hw_sim.parity.paired import compare_decisions, exact_p

classes = st.integers(0, 3)


@given(st.lists(st.tuples(classes, classes, classes), min_size=1, max_size=40))
def test_counts_are_those_of_a_loop(rows):
    a, b, labels = (np.array(column) for column in zip(*rows, strict=True))
    paired = compare_decisions(a, b, labels)
    assert paired.samples == len(rows)
    assert paired.same_class == sum(x == y for x, y, _ in rows)
    assert paired.only_a_right == sum(x == z != y for x, y, z in rows)
    assert paired.only_b_right == sum(y == z != x for x, y, z in rows)
    assert paired.mcnemar_p == exact_p(paired.only_a_right, paired.only_b_right)


@given(st.integers(0, 12), st.integers(0, 12))
def test_p_is_the_two_sided_binomial_sum(a, b):
    n = a + b
    tail = sum(math.comb(n, k) for k in range(min(a, b) + 1)) / 2**n
    assert exact_p(a, b) == pytest.approx(min(1.0, 2 * tail))
