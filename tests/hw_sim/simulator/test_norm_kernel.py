"""LayerNorm's kernel on rows whose quotients are exact ties, where the float64 estimate is off by one."""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest
from pumice.hw_sim.simulator.kernels.plain import layer_norm
from pumice.hw_sim.simulator.vectors import LANES

EVERYTHING = -(1 << 62), (1 << 62) - 1


def in_python(x, gamma, beta, shifts, root_shift, epsilon):
    """The node's equation in Python's integers."""
    (a, b, c), size, total = shifts, len(x), sum(x)
    root = isqrt((size * sum(value * value for value in x) - total * total + epsilon) << 2 * root_shift)
    q = root << c
    found = []
    for channel, value in enumerate(x):
        p = (size * value - total) * (gamma[channel] if gamma else 1) << a
        p += (beta[channel] * root << b) if beta else 0
        found.append((2 * p + q) // (2 * q))
    return found


def in_kernel(x, gamma, beta, shifts, root_shift, epsilon, limits=EVERYTHING, dtype=np.int64):
    row, (g, b) = put(x, dtype), (put(codes, np.int64) for codes in (gamma, beta))
    out = np.full(len(row), 77, dtype=dtype)
    offsets = 0 if gamma else -1, 0 if beta else -1
    settings = tuple(shifts), root_shift, epsilon, *limits
    like, holding = (np.zeros(1, dtype=kind) for kind in (np.int64, np.int32 if dtype == np.int16 else np.int64))
    places = row, 0, g, offsets[0], b, offsets[1]
    clipped = layer_norm(*places, *settings, out, 0, len(x), like, holding)
    assert (out[len(x) :] == 77).all()
    return out[: len(x)].tolist(), int(clipped)


def put(codes, dtype):
    """Codes as they lie in an arena, before others."""
    return np.array([*codes, *range(5, 5 + 2 * LANES)], dtype=dtype)


def test_ties_that_the_estimate_rounds_down():
    """Two channels t apart have the root t: with an odd gamma of one fractional bit every quotient is a tie."""
    t, gamma = np.meshgrid(np.arange(1, 400), np.arange(1, 2048, 2), indexing="ij")
    denominator = 4.0 * t  # of q = t 2**1
    numerator = 2.0 * t * gamma + 2 * t
    short = np.floor(numerator * (1 / denominator)) < (gamma + 1) // 2
    found = np.argwhere(short)
    assert len(found) > 1000
    for row, column in found[:: len(found) // 400]:
        apart, factor = int(t[row, column]), int(gamma[row, column])
        asked = [apart, 0], [factor, factor], [], (0, 0, 1), 0, 1
        assert in_kernel(*asked) == (in_python(*asked), 0)
        assert in_kernel(*asked)[0] == [(factor + 1) // 2, (1 - factor) // 2]  # half a unit goes up on both sides


def test_numerators_that_the_estimate_rounds_up():
    """One below a whole multiple of the denominator, near 2**53: the product rounds to the multiple."""
    rng = np.random.default_rng(0)
    tried = 0
    for root in (rng.integers(1 << 25, 1 << 30, 4000) | 1).tolist():
        beta = ((1 << 53) - 1) // (2 * root)
        numerator, denominator = 2 * root * beta - 1, 2 * root
        if np.floor(np.float64(numerator) * (1 / np.float64(denominator))) == numerator // denominator:
            continue
        apart = (root + 1) // 2
        asked = [0, apart], [], [beta, beta], (0, 0, 0), 0, root * root - apart * apart
        found, clipped = in_kernel(*asked)
        assert found == in_python(*asked)
        assert (found[0], clipped) == (beta - 1, 0)
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("dtype", [np.int16, np.int64])
def test_rows_at_random_and_at_the_ends_of_their_range(dtype):
    rng = np.random.default_rng(1)
    for size in (2, 3, 5, 64):
        for _ in range(40):
            x = rng.choice([-(1 << 15), (1 << 15) - 1, 0, 1, -1, *rng.integers(-500, 500, 4)], size).tolist()
            gamma = rng.integers(-2047, 2048, size).tolist() if rng.random() < 0.5 else []
            beta = rng.integers(-500, 500, size).tolist() if rng.random() < 0.5 else []
            asked = x, gamma, beta, tuple(rng.integers(0, 3, 3).tolist()), int(rng.integers(0, 3)), 1
            assert in_kernel(*asked, dtype=dtype)[0] == in_python(*asked)
            kept, clipped = in_kernel(*asked, limits=(-3, 2), dtype=dtype)
            assert kept == [min(max(value, -3), 2) for value in in_python(*asked)]
            assert clipped == sum(not -3 <= value <= 2 for value in in_python(*asked))


@pytest.mark.parametrize("root", [1 << 27, (1 << 28) + 2, (1 << 29) + 6, (1 << 30) - 2])
def test_roots_below_a_square_that_float64_cannot_tell(root):
    """One below the next square, which float64 rounds up to: half of the right root is a tie, of the next one less."""
    radicand, apart = (root + 1) ** 2 - 1, root // 2
    assert isqrt(radicand) == root
    assert int(np.sqrt(np.float64(radicand))) == root + 1
    asked = [0, apart], [], [], (0, 0, 0), 0, radicand - apart**2
    assert in_kernel(*asked)[0] == in_python(*asked) == [0, 1]
    for beside in (1, 2):
        asked = [0, apart], [], [7, 7], (3, 2, 1), 0, radicand + beside - apart**2
        assert in_kernel(*asked)[0] == in_python(*asked)


def test_a_row_without_variance_is_its_offset():
    assert in_kernel([5, 5, 5], [], [-3, 0, 4], (0, 1, 0), 0, 1) == ([-6, 0, 8], 0)
    assert in_kernel([5, 5, 5], [], [], (0, 0, 0), 0, 1) == ([0, 0, 0], 0)
