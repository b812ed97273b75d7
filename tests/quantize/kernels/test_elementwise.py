"""Fake quantization and tables in compiled loops, against fractions of Python and PyTorch's own operations."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program.formats import Format
from pumice.quantize.operations import lookup, table_values
from pumice.quantize.rounding import code_range, pow2_quantize

DTYPES = [torch.float32, torch.float64]


def half_up(x: float, frac: int) -> int:
    return math.floor(Fraction(x) * Fraction(2) ** frac + Fraction(1, 2))


@settings(max_examples=examples(150), deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    frac=st.integers(-4, 20),
    width=st.integers(2, 20),
    signed=st.booleans(),
    narrow=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    straight=st.booleans(),
)
def test_codes_are_rounded_half_up_and_clipped(values, frac, width, signed, narrow, dtype, straight):
    x = torch.tensor(values, dtype=dtype, requires_grad=True)
    low, high = code_range(width, signed, narrow)
    found = pow2_quantize(x, frac, width, signed, narrow, straight)
    free = [half_up(value, frac) for value in values]
    assert found.tolist() == [min(max(code, low), high) * 2.0**-frac for code in free]
    found.sum().backward()
    assert x.grad.tolist() == [float(straight or low <= code <= high) for code in free]


def test_ties_and_their_neighbours():
    ties = np.arange(-3.5, 4, 1, dtype=np.float32)
    x = np.concatenate([ties, np.nextafter(ties, np.float32(9)), np.nextafter(ties, np.float32(-9))])
    assert pow2_quantize(torch.from_numpy(x), 0, 8).tolist() == [float(half_up(float(value), 0)) for value in x]


@pytest.mark.parametrize("shape", [(0, 3), (7,), (2, 5, 3)])
def test_shapes_and_views(shape):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).transpose(0, -1)
    assert torch.equal(pow2_quantize(x, 3, 8), torch.from_numpy(np.clip(np.floor(x.numpy() * 8 + 0.5), -128, 127) / 8))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_the_elements(threads):
    x = torch.randn(300_001, generator=torch.Generator().manual_seed(2))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = pow2_quantize(x, 4, 6)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found, torch.clamp(torch.floor(x.double() * 16 + 0.5), -32, 31).float() / 16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "function"), [("sigmoid", torch.sigmoid), ("relu", torch.relu)])
def test_tables_are_read_at_every_code_with_the_functions_slope(dtype, name, function):
    input, output = Format(8, True, 5), Format(8, True, 6)
    table = table_values(name, input, output, torch.device("cpu"))
    x = (torch.arange(-128, 128, dtype=dtype) / 32).reshape(16, 16).T.requires_grad_()
    found = lookup(x, function, table, input)
    assert found.dtype == dtype
    assert torch.equal(found.double(), table.reshape(16, 16).T)
    again = x.detach().double().requires_grad_()
    (slopes,) = torch.autograd.grad(function(again).sum(), again)
    grad = torch.randn(16, 16, dtype=dtype, generator=torch.Generator().manual_seed(3))
    found.backward(grad)
    torch.testing.assert_close(x.grad, grad * slopes.to(dtype), rtol=1e-6, atol=0)
