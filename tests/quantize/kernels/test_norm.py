"""The layer norm in compiled loops: the node's integers forward, the real function's gradient backward."""

from math import floor, isqrt

import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program.formats import Format
from pumice.quantize.kernels.norm import normalise
from pumice.quantize.operations import LayerNormTerms, layer_norm


def plain(codes: list[int], terms: LayerNormTerms, output: Format) -> list[int]:
    """The node's equation in Python's integers, not yet clipped."""
    total = sum(codes)
    variance = terms.size * sum(code * code for code in codes) - total * total
    root = max(isqrt((variance + terms.epsilon) << (2 * terms.root_shift)), 1)
    numerators = [(terms.size * code - total) << (terms.root_shift + output.frac) for code in codes]
    return [(2 * numerator + root) // (2 * root) for numerator in numerators]


@settings(max_examples=examples(150), deadline=None)
@given(
    data=st.data(),
    size=st.integers(1, 40),
    width=st.sampled_from([8, 16]),
    frac=st.integers(0, 14),
    written=st.integers(2, 7),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_values_are_the_nodes(data, size, width, frac, written, dtype):
    input, output = Format(width, True, frac), Format(8, True, written)
    rows = data.draw(st.lists(st.lists(st.integers(input.min, input.max), min_size=size, max_size=size), max_size=4))
    terms = LayerNormTerms.of(size, input, 1e-5)
    x = (torch.tensor(rows, dtype=dtype).reshape(-1, size) * input.scale).requires_grad_()
    found = layer_norm(x, terms, input, output)
    free = [plain(row, terms, output) for row in rows]
    expected = [[min(max(code, output.min), output.max) * output.scale for code in row] for row in free]
    assert found.reshape(-1, size).tolist() == expected
    inside = torch.tensor(free).reshape(-1, size)
    inside = (inside >= output.min) & (inside <= output.max)
    grad = torch.linspace(-1, 2, max(found.numel(), 1), dtype=dtype)[: found.numel()].reshape(found.shape)
    found.backward(grad)
    again = x.detach().double().requires_grad_()
    epsilon = terms.epsilon / size**2 * 4.0**-frac
    real = torch.nn.functional.layer_norm(again, (size,), eps=epsilon)
    real.backward(grad.double() * inside)
    scale = max(float(again.grad.abs().max()), 1e-9) if len(rows) else 1.0
    torch.testing.assert_close(x.grad.double() / scale, again.grad / scale, rtol=0, atol=2e-4)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_equal_channels_become_zeros(value):
    input, output = Format(16, True, 8), Format(8, True, 5)
    x = torch.full((2, 3, 8), value)
    found = layer_norm(x, LayerNormTerms.of(8, input, 1e-5), input, output)
    assert found.shape == (2, 3, 8)
    assert not found.any()


def test_quotients_that_are_whole_numbers():
    """Rows (a, -a) whose quotient before the floor is n: its estimate by the inverse is below n for some of them."""
    below = 0
    for m in range(1, 60, 2):
        for n in range(1, 60):
            a, root = (2 * n - 1) * m, 4 * m << 7
            numerator = 2 * (2 * a << 7) + root
            assert numerator == 2 * root * n
            below += floor(numerator * (0.5 / root)) < n
            x = torch.tensor([[float(a), float(-a)]], dtype=torch.float64)
            found, _, _ = normalise(x, 0, root * root - 4 * a * a, 7, (-128, 127), (1.0, 1.0))
            assert found.tolist() == [[n, 1 - n]]
    assert below > 10
