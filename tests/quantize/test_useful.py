"""Codes use the bits that they have, and no more than can matter."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program import reference
from pumice.program.formats import Format
from pumice.program.reference.ssm import drive
from pumice.quantize.codes import weight_codes
from pumice.quantize.exponents import useful_frac
from pumice.quantize.lowering import make_program
from pumice.quantize.quantizers import clipped


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6), st.integers(-4, 12), st.sampled_from([2, 4, 8, 16]))
@settings(max_examples=100, deadline=None)
def test_codes_of_weights_are_rounded_half_up_and_counted_where_they_are_clipped(row, frac, width):
    highest = 2 ** (width - 1) - 1
    exact = [floor(Fraction(value) * Fraction(2) ** frac + Fraction(1, 2)) for value in row]
    found = weight_codes(np.array([row]), np.array([frac]), width)[0]
    assert found.tolist() == [min(max(code, -highest), highest) for code in exact]
    beyond = sum(floor(abs(Fraction(value)) * Fraction(2) ** frac + Fraction(1, 2)) > highest for value in row)
    assert clipped(np.array([row]), np.array([frac]), width) == beyond


@given(st.integers(2, 16), st.integers(-6, 14), st.integers(-6, 14))
def test_a_finer_weight_moves_an_output_by_next_to_nothing(width, operand_frac, output_frac):
    """Half a unit of the finest useful weight, times the largest operand, is 2**-9 of an output unit."""
    operand = Format(width, True, operand_frac)
    for output in (Format(8, True, output_frac), np.array([output_frac])):
        frac = int(np.ravel(useful_frac(operand, output))[0])
        half = Fraction(1, 2) / Fraction(2) ** frac
        largest = operand.magnitude / Fraction(2) ** operand_frac
        assert half * largest == Fraction(1, 2**9) / Fraction(2) ** output_frac


@pytest.mark.parametrize("settings", [{}, {"norm": "batch", "expansion": 2}, {"discretization": "zoh"}])
def test_s5_codes_use_their_range(build, settings):
    """With ``max`` the largest value of every edge, state and row of weights needs the highest bit."""
    made = build(settings, calibration={"method": "max", "headroom": 1})
    frozen = made.qat.freeze()
    program = make_program(frozen.nodes(), frozen.logits, "causal", list("01234"), None)
    traces, seen = reference.run(program, made.samples), 0
    for node in program:
        what = node.name.rsplit("/", 1)[-1]
        if what in ("norm", "y", "gate"):
            largest = max(int(np.abs(trace.values[node.name]).max(initial=0)) for trace in traces)
            assert node.output.max / 2.4 < largest <= node.output.magnitude, node.name
            seen += 1
        if what == "ssm":
            held = [trace.states[node.name] for trace in traces]
            if node.discretization == "zoh":  # the sum with the drive is stored as well
                drives = [drive(node, trace.values[node.inputs[0]]) for trace in traces]
                held += [np.concatenate([0 * x[:1], x[:-1]]) + v for x, v in zip(held, drives, strict=True)]
            states = np.abs(np.concatenate(held))
            peaks = states.max(axis=0).reshape(2, -1).max(axis=0)
            assert (peaks < 1.1 * 2**14).all(), "one bit is spare"
            assert (peaks > 0.9 * 2**13).all(), "and one alone"
            seen += 1
        if what in ("gate", "skip"):
            top = (1 << (node.weight_widths[0] - 1)) - 1
            assert np.abs(node.weights[0].astype(int)).max(axis=1).min() > top / 2, node.name
            seen += 1
    assert seen >= 20
