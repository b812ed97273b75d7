"""Rounding half up and power-of-two fake quantization against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pumice.quantize.rounding import RoundHalfUp, code_range, pow2, pow2_codes, pow2_quantize, round_half_up

DTYPES = (torch.float32, torch.float64)


def exact_round(x: float) -> int:
    return math.floor(Fraction(x) + Fraction(1, 2))


@given(st.floats(-1e9, 1e9))
def test_rounding_is_exact(x):
    assert round_half_up(torch.tensor(x, dtype=torch.float64)).item() == exact_round(x)
    single = torch.tensor(x, dtype=torch.float32)
    assert round_half_up(single).item() == exact_round(single.item())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_neighbours_of_one_half(dtype):
    numpy_dtype = np.float32 if dtype == torch.float32 else np.float64
    below = float(np.nextafter(numpy_dtype(0.5), numpy_dtype(0)))
    x = torch.tensor([below, 0.5, -0.5, -below, 1.5, -1.5, 2.5], dtype=dtype)
    assert round_half_up(x).tolist() == [0, 1, 0, 0, 2, -1, 3]


def test_the_gradient_is_one():
    x = torch.tensor([0.2, 0.7, -3.5], requires_grad=True)
    RoundHalfUp()(x).backward(torch.tensor([1.0, 2.0, 3.0]))
    assert x.grad.tolist() == [1, 2, 3]


@given(st.integers(-126, 127))
def test_powers_of_two_are_exact(exponent):
    for dtype in DTYPES:
        assert pow2(torch.tensor(exponent), torch.empty(0, dtype=dtype)).item() == 2.0**exponent


@given(
    x=st.floats(-100, 100, width=32),
    frac=st.integers(-8, 20),
    width=st.integers(2, 16),
    signed=st.booleans(),
    narrow=st.booleans(),
)
def test_codes_are_clipped_exact_roundings(x, frac, width, signed, narrow):
    low, high = code_range(width, signed, narrow)
    free = math.floor(Fraction(x) * Fraction(2) ** frac + Fraction(1, 2))
    code = min(max(free, low), high)
    for dtype in DTYPES:
        value = torch.tensor(x, dtype=dtype, requires_grad=True)
        quantized = pow2_quantize(value, frac, width, signed, narrow)
        assert Fraction(quantized.item()) == code * Fraction(2) ** -frac
        assert pow2_codes(value, frac, width, signed, narrow).item() == code
        quantized.backward()
        assert value.grad.item() == (low <= free <= high)


def test_ranges():
    assert code_range(8) == (-128, 127)
    assert code_range(8, narrow=True) == (-127, 127)
    assert code_range(8, signed=False) == (0, 255)


def test_one_exponent_a_row():
    x = torch.tensor([[0.3, -0.3], [0.3, -0.3]])
    frac = torch.tensor([[1], [4]])
    assert pow2_quantize(x, frac, 8).tolist() == [[0.5, -0.5], [0.3125, -0.3125]]
    assert pow2_codes(x, frac, 8).tolist() == [[1, -1], [5, -5]]
