"""Derived constants against their definitions, in integers of any size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program.formats import Format
from pumice.program.nodes import LayerNorm
from pumice.quantize.codes import accumulator_codes, largest_frac, rounded, weight_codes
from pumice.quantize.decays import decay_table, gap_digits
from pumice.quantize.exponents import row_fracs
from pumice.quantize.operations import LayerNormTerms
from pumice.quantize.tables import gelu, lookup_table, sigmoid

rates = st.builds(complex, st.floats(-8.0, 0.0), st.floats(-40.0, 40.0)) | st.builds(
    complex, st.floats(-1e-4, 0.0), st.floats(-1e-3, 1e-3)
)


@given(rates, st.sampled_from([8, 16, 20, 32]), st.sampled_from([6, 8, 12, 15]))
@settings(max_examples=200, deadline=None)
def test_decays_never_grow_and_fit_their_registers(rate, state_width, width):
    digits = 5
    re, im, exponent = decay_table(np.array([rate]), digits, width, state_width)
    for j in range(digits):
        r, i, s = int(re[j, 0]), int(im[j, 0]), int(exponent[j, 0])
        assert (2**s + r) ** 2 + i**2 <= 4**s
        assert max(abs(r), abs(i)) < 2 ** (width - 1)
        if state_width <= 16:
            assert (abs(r) + abs(i)) * 2 ** (state_width - 1) + 2 ** (s - 1) < 2**30
        exact = np.expm1(rate * 2**j)
        moved = 2 + 2 * abs(i) / 2**s  # rounding, and the way back to |a| <= 1
        assert abs(complex(r, i) - exact * 2**s) <= moved + 1


def test_a_mode_has_its_decays_whatever_stands_beside_it():
    """Of three modes one has to be narrowed: by its real and imaginary part together it would leave 32 bits."""
    modes = np.log(np.array([0.5 + 0j, (1 + 16_383j) / 16_384, 0.9 + 0.1j]))
    together = decay_table(modes, 1, 15, 16)
    alone = [decay_table(modes[p : p + 1], 1, 15, 16) for p in range(3)]
    for found, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert np.array_equal(found, np.concatenate(parts, axis=1))
    exponents = [int(decay_table(modes, 1, 15, width)[2][0, 1]) for width in (16, 20)]
    assert exponents[0] == exponents[1] - 1


@given(rates)
@settings(max_examples=100, deadline=None)
def test_decay_exponents_are_as_large_as_the_bounds_allow(rate):
    _, _, exponent = decay_table(np.array([rate]), 1, 15, 32)
    s = int(exponent[0, 0])
    scaled = np.expm1(rate) * 2.0 ** (s + 1)
    assert s == 40 or rounded(max(abs(scaled.real), abs(scaled.imag))) > 16383


@given(st.floats(1e-6, 5.0), st.sampled_from([8, 16, 24, 32]))
def test_digits_leave_at_most_one_unit(real, width):
    digits = gap_digits(np.array([complex(-real, 3.0), complex(-5.0, 0.0)]), width)
    left = 2.0 ** (width - 1) * math.exp(-real * (2**digits - 1))
    assert left <= 1 + 1e-9 or digits == 20
    fewer = 2.0 ** (width - 1) * math.exp(-real * (2 ** (digits - 1) - 1))
    assert fewer > 1 or digits == 1 or real > 5.0


def test_a_mode_that_never_decays_has_all_digits():
    assert gap_digits(np.array([0j, -1 + 0j]), 16) == 20
    re, im, _ = decay_table(np.array([0j]), 2, 15, 16)
    assert not re.any()
    assert not im.any()


@given(st.floats(1e-12, 1e12), st.integers(2, 20))
def test_largest_frac_is_the_largest(magnitude, width):
    highest = 2 ** (width - 1) - 1
    frac = int(largest_frac(magnitude, highest))
    assert rounded(np.ldexp(magnitude, frac)) <= highest < rounded(np.ldexp(magnitude, frac + 1))


def test_zero_has_the_fallback():
    assert largest_frac(np.array([0.0, 1.0]), 127, 5).tolist() == [5, 6]


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.sampled_from(["max", "mse"]), st.sampled_from([2, 4, 8]))
@settings(deadline=None)
def test_weights_stay_narrow_and_max_clips_nothing(row, method, width):
    weight = np.array([row, [0.0] * 4])
    frac = row_fracs(weight, width, method, 12)
    codes = weight_codes(weight, frac, width)
    assert np.abs(codes.astype(int)).max() <= 2 ** (width - 1) - 1
    assert (frac <= 12).all()
    if method == "max":
        assert np.abs(np.ldexp(codes.astype(float), -frac[:, None]) - weight).max() <= 2.0 ** -(frac.min() + 1)


def test_mse_is_never_worse_than_max():
    rng = np.random.default_rng(0)
    weight = rng.standard_t(2, size=(50, 64))

    def error(method):
        frac = row_fracs(weight, 4, method, 60)
        return ((np.ldexp(weight_codes(weight, frac, 4).astype(float), -frac[:, None]) - weight) ** 2).sum(1)

    assert (error("mse") <= error("max")).all()
    assert error("mse").sum() < 0.8 * error("max").sum()


def test_accumulator_codes_round_half_up():
    assert accumulator_codes(np.array([0.5, -0.5, 0.75]), np.array([0, 0, 1])).tolist() == [1, 0, 2]


@pytest.mark.parametrize(("function", "exact"), [(gelu, None), (sigmoid, lambda x: 1 / (1 + math.exp(-x)))])
def test_tables_are_the_rounded_functions(function, exact):
    input, output = Format(8, True, 4), Format(8, function is gelu, 4 if function is gelu else 8)
    table = lookup_table(function, input, output)
    for code, entry in zip(range(-128, 128), table, strict=True):
        x = code / 16
        cubic = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        value = exact(x) if exact else 0.5 * x * (1 + math.tanh(cubic))
        expected = min(max(math.floor(value * 2**output.frac + 0.5), output.min), output.max)
        assert int(entry) == expected


@given(st.integers(2, 1024), st.integers(-4, 14))
def test_layer_norm_terms_fit_the_widest_residual(size, frac):
    input, output = Format(16, True, frac), Format(8, True, 4)
    _, shift, epsilon = LayerNormTerms.of(size, input, 1e-6)
    assert epsilon == max(1, math.floor(1e-6 * size**2 * 4.0**frac + 0.5))
    no_codes = np.zeros(0, dtype=np.int64)
    LayerNorm(  # refuses what does not fit
        name="norm",
        inputs=("x",),
        output=output,
        format=input,
        size=size,
        root_shift=shift,
        epsilon=epsilon,
        gamma=no_codes,
        gamma_frac=0,
        beta=no_codes,
        beta_frac=0,
    )
    assert shift == 8 or ((size * 2**15) ** 2 + epsilon) << (2 * shift + 2) >= 2**52


def test_functions_are_those_of_torch():
    x = np.linspace(-6, 6, 4001)
    expected = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh").numpy()
    np.testing.assert_allclose(gelu(x), expected, atol=1e-12)
    np.testing.assert_allclose(sigmoid(x), torch.sigmoid(torch.from_numpy(x)).numpy(), atol=1e-12)
