"""Bounds of intermediates against what is reached: nodes whose operands reach the bound, rounding term included."""

from __future__ import annotations

import itertools
from dataclasses import replace
from math import isqrt

import numpy as np
import pytest
from pumice.program import Format, ProgramError
from pumice.program.bounds import register
from pumice.program.nodes import (
    LIF,
    SPIKES,
    AdaptiveLIF,
    Add,
    BatchNorm,
    DiagonalSSM,
    Embedding,
    EventPool,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    Multiply,
    Readout,
)

BYTE, UNSIGNED = Format(8, True, 4), Format(8, False, 4)
SHIFTS = [-3, 0, 1, 2, 9]


def stored(total, shift):
    """What a rounding shift holds before it shifts: the sum and the half unit, or the sum shifted left."""
    return total << -shift if shift < 0 else total + (1 << shift >> 1)


def linear(shift, **changed):
    """One row: -128 times negative weights is as large as the bound of a signed byte."""
    fields = {
        "name": "y",
        "inputs": ("x",),
        "output": Format(16, True, 7 - shift),
        "formats": (BYTE,),
        "weights": (np.array([[-7, -3]]),),
        "weight_widths": (8,),
        "weight_fracs": (np.array([3]),),
        "bias": np.array([11]),
    }
    return Linear(**{**fields, **changed})


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_linear_sum_reaches_its_bound(shift):
    node = linear(shift)
    assert node.output_shift.tolist() == [shift]
    reached = stored(sum(weight * -128 for weight in (-7, -3)) + 11, shift)
    assert node.bounds() == {"the sum": reached}


@pytest.mark.parametrize("shift", SHIFTS)
def test_operands_of_unlike_fractions_reach_it_too(shift):
    """The coarser operand is shifted left by two before the sum."""
    coarse = Format(8, True, 2)
    node = linear(
        shift,
        inputs=("x", "z"),
        formats=(BYTE, coarse),
        weights=(np.array([[-7, -3]]), np.array([-5])),
        weight_widths=(8, 8),
        weight_fracs=(np.array([3]), np.array([3])),
    )
    assert node.bounds() == {"the sum": stored(10 * 128 + (5 * 128 << 2) + 11, shift)}


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_affine_map_reaches_its_bound(shift):
    fields = {"name": "y", "inputs": ("x",), "output": BYTE, "format": BYTE, "multiplier_width": 12}
    node = BatchNorm(**fields, multiplier=np.array([-900]), bias=np.array([77]), shift=np.array([shift]))
    assert node.bounds() == {"the affine map": stored(900 * 128 + 77, shift)}


@pytest.mark.parametrize("shift", SHIFTS)
def test_products_sums_and_rows_of_a_table_reach_theirs(shift):
    output = Format(16, True, 8 - shift)
    product = Multiply(name="y", inputs=("a", "b"), output=output, formats=(BYTE, BYTE), size=1)
    assert product.bounds() == {"the product": stored(128 * 128, shift)}
    output = Format(16, True, 4 - shift)
    total = Add(name="y", inputs=("a", "b"), output=output, formats=(UNSIGNED, Format(8, False, 1)), size=1)
    assert total.bounds() == {"the sum": stored(255 + (255 << 3), shift)}
    tokens = Format(4, False, 0)
    table = {"table": np.array([[127], [-5]]), "table_width": 8, "table_frac": 4, "token_format": tokens}
    embedding = Embedding(name="y", inputs=("t",), output=output, **table)
    assert embedding.bounds() == {"the table": stored(127, shift)}


def ssm(drive_shift=0, **changed):
    """One mode of one digit, 16 bits of state."""
    one = np.array([[1]])
    fields = {
        "name": "x",
        "inputs": ("u", "gap"),
        "output": Format(16, True, 0),
        "format": BYTE,
        "discretization": "async",
        "input_re": np.array([[-7, -3]]),
        "input_im": np.array([[1, 1]]),
        "input_width": 8,
        "input_frac": np.array([drive_shift]),
        "bias_re": np.array([11]),
        "bias_im": np.array([0]),
        "state_width": 16,
        "state_frac": np.array([4]),
        "decay_re": -one,
        "decay_im": one,
        "decay_width": 15,
        "decay_exponent": 4 * one,
        "read_shift": 0,
    }
    return DiagonalSSM(**{**fields, **changed})


@pytest.mark.parametrize("shift", SHIFTS)
def test_drive_and_state_sum_reach_their_bounds(shift):
    bounds = ssm(shift).bounds()
    drive = stored(10 * 128 + 11, shift)
    assert bounds["the drive"] == drive
    assert bounds["the state sum"] == (drive >> shift if shift > 0 else drive) + (1 << 15)
    swapped = ssm(
        shift,
        input_re=np.array([[1, 1]]),
        input_im=np.array([[-7, -3]]),
        bias_re=np.array([0]),
        bias_im=np.array([11]),
    )
    assert swapped.bounds() == bounds


@pytest.mark.parametrize("exponent", [1, 4, 14])
def test_a_decay_step_reaches_its_bound(exponent):
    """The largest over all states at the ends of their range, by either component, half unit included."""
    codes = {"decay_re": np.array([[-5]]), "decay_im": np.array([[3]]), "decay_exponent": np.array([[exponent]])}
    if exponent == 1:
        codes |= {"decay_re": np.array([[-1]]), "decay_im": np.array([[1]])}
    node = ssm(**codes)
    re, im, half = int(node.decay_re[0, 0]), int(node.decay_im[0, 0]), 1 << exponent >> 1
    ends = (node.state_format.min, node.state_format.max)
    reached = max(
        abs(part + half) for r, i in itertools.product(ends, ends) for part in (re * r - im * i, re * i + im * r)
    )
    assert 0 <= node.bounds()["the decay step"] - reached <= abs(re) + abs(im)  # one end lacks a unit
    assert node.bounds()["the decay step"] == (abs(re) + abs(im)) * (1 << 15) + half


def test_the_largest_digit_of_a_decay_counts():
    node = ssm(
        decay_re=np.array([[-5], [-90]]), decay_im=np.array([[3], [40]]), decay_exponent=np.array([[4], [7]])
    )  # the second digit is the larger, and so is its half unit
    assert node.bounds()["the decay step"] == 130 * (1 << 15) + 64


@pytest.mark.parametrize("output_frac", [0, 3])
@pytest.mark.parametrize("root_shift", [0, 3])
def test_a_norm_stays_within_its_bounds_and_needs_the_rounding_term(root_shift, output_frac):
    """All rows of two signed bytes are searched: numerator and divisor together pass the numerator's bound alone."""
    fields = {"name": "y", "inputs": ("x",), "output": Format(8, True, output_frac), "format": BYTE, "size": 2}
    none = np.zeros(0, dtype=np.int64)
    affine = {"gamma": none, "gamma_frac": 0, "beta": none, "beta_frac": 0}
    node = LayerNorm(**fields, **affine, root_shift=root_shift, epsilon=1)
    a, _, c = node.shifts
    variances, numerators = [], []
    for x in itertools.product(range(-128, 128), (-128, 127)):
        total = sum(x)
        variance = (2 * sum(value**2 for value in x) - total**2 + 1) << 2 * root_shift
        variances.append(variance)
        quotient = isqrt(variance) << c
        numerators += [abs(2 * ((2 * value - total) << a) + quotient) for value in x]
    bounds = node.bounds()
    assert max(variances) <= bounds["the variance"]
    assert max(numerators) <= bounds["the quotient"]
    assert bounds["the quotient"] >= 2 * (256 << a) + (isqrt(max(variances)) << c)
    gained = replace(node, beta=np.array([9, -9]), beta_frac=0, gamma=np.array([5, 3]), gamma_frac=0)
    a, b, c = gained.shifts
    reached = 2 * ((255 * 5 << a) + (9 * (255 << root_shift) << b)) + ((255 << root_shift) << c)
    assert gained.bounds()["the quotient"] >= reached


def test_windows_reach_their_bounds():
    pool = EventPool(name="p", inputs=("x",), output=UNSIGNED, format=UNSIGNED, size=1, window=3, mode="mean")
    assert pool.bounds() == {"the sum of a window": 2 * 3 * 255 + 3}  # 2 p + q of the rounded division
    fields = {"name": "r", "inputs": ("x",), "size": 1, "output": Format(16, True, 6), "extra_bits": 2}
    window = Readout(**fields, format=UNSIGNED, mode="window", window=3, decay_shift=0)
    assert window.bounds() == {"the sum": (2 * 3 * 255 << 2) + 3}
    forget = Readout(**fields, format=BYTE, mode="forget", window=0, decay_shift=9)
    reached = ((127 + 128) << 2) + (1 << 8)
    assert reached <= forget.bounds()["the difference"] <= reached + 4
    timed = EventPool(name="p", inputs=("x", "w"), output=UNSIGNED, format=UNSIGNED, size=1, window=3, mode="time")
    assert timed.bounds() == {}
    most = timed.sum_limit  # units of weight: the doubled sum and the divisor stay below 2**62, one more would not
    assert 2 * most * 255 + most <= 1 << 62 < 2 * (most + 1) * 255 + most + 1


def neurons(kind=LIF, current_shift=0, **changed):
    """One neuron whose membrane forgets at once, so that the drive alone fills its sum."""
    fields = {
        "name": "cells",
        "inputs": ("x",),
        "output": SPIKES,
        "format": BYTE,
        "input": np.array([[-7, -3]]),
        "input_width": 8,
        "input_frac": np.array([current_shift + 4]),
        "recurrent": np.zeros((1, 0), dtype=np.int64),
        "recurrent_width": 8,
        "recurrent_frac": np.array([0]),
        "bias": np.array([11]),
        "potential": Format(16, True, 8),
        "threshold": np.array([100]),
        "constant_width": 12,
        "alpha": np.array([0]),
        "alpha_frac": 4,
        "rise": np.array([13]),
        "rise_frac": 6,
    }
    return kind(**{**fields, **changed})


@pytest.mark.parametrize("shift", SHIFTS)
def test_currents_and_potentials_reach_their_bounds(shift):
    node = neurons(current_shift=shift)
    current = stored(10 * 128 + 11, shift)
    drive = current >> shift if shift > 0 else current
    potential = stored(13 * drive, 6)
    assert node.bounds() == {"the current": current, "the drive": drive, "the potential": potential}
    recurrent = replace(node, recurrent=np.array([[17]]), recurrent_frac=np.array([shift + 6]))
    assert recurrent.bounds()["the current"] == stored(10 * 128 + 11 + (17 << 2), shift)


def test_adaptations_reach_their_bounds():
    adaptation = {
        "order": "se",
        "adaptation": Format(16, True, 4),
        "beta": np.array([0]),
        "beta_frac": 3,
        "coupling": np.array([0]),
        "coupling_frac": 2,
        "jump": np.array([321]),
        "jump_frac": 14,
    }
    node = neurons(AdaptiveLIF, **adaptation)
    assert node.bounds()["the adaptation"] == 321 + (1 << 9)  # of 14 to 4 fractional bits
    assert node.bounds()["the drive"] == 10 * 128 + 11 + ((1 << 15) << 4)  # a current less the lowest adaptation
    coupled = replace(node, coupling=np.array([3]), beta=np.array([5]))
    kept, pushed, jumped = 5 << 15 << 7, 3 << 15 << 4, 321
    assert coupled.bounds()["the adaptation"] == kept + pushed + jumped + (1 << 9)


@pytest.mark.parametrize("frac", [4, 5, 12])
def test_integrators_reach_their_bounds(frac):
    fields = {"name": "o", "inputs": ("x",), "output": Format(16, True, 8), "format": BYTE, "weight_width": 8}
    decay = {"decay": np.array([0]), "decay_width": 12, "decay_frac": 0}
    node = LeakyIntegrator(
        **fields, weight=np.array([[-7, -3]]), weight_frac=np.array([frac]), bias=np.array([11]), **decay
    )
    assert node.bounds() == {"the potential": stored(10 * 128 + 11, frac + 4 - 8)}
    lasting = replace(node, decay=np.array([1]), decay_frac=1)
    lift = max(frac + 4, 9) - 9
    rest = max(frac + 4, 9) - 4 - frac
    assert lasting.bounds()["the potential"] == stored((1280 << rest) + 11 + (1 << 15 << lift), max(frac + 4, 9) - 8)


def test_registers_end_where_the_rounding_term_takes_the_sum_over():
    """2**30 is the first that needs 64 bits, 2**52 the first that is refused, the half unit counted."""
    half, rest = 1 << 8, 10 * 128
    for limit, kept, beyond in ((30, "i32", "i64"), (52, "i64", None)):
        bias = (1 << limit) - 1 - half - rest
        node = linear(9, bias=np.array([bias]))
        assert node.bounds() == {"the sum": (1 << limit) - 1}
        assert node.register == node.accumulator == kept
        if beyond is None:
            with pytest.raises(ProgramError, match="the sum can reach 53 bits, the limit is 52"):
                linear(9, bias=np.array([bias + 1]))
        else:
            assert linear(9, bias=np.array([bias + 1])).register == beyond
    assert [register((1 << 30) - 1), register(1 << 30)] == ["i32", "i64"]
