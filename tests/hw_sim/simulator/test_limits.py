"""Intermediates just beyond 32 bits, where a register that was chosen too narrow wraps: inputs at their extremes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import opcodes
from pumice.program import Format, Program, reference
from pumice.program.nodes import (
    GAP_FORMAT,
    LIF,
    SPIKES,
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    GapInput,
    Linear,
    Multiply,
    Readout,
)

WORD = Format(16, True, 0)
TOP = (1 << 15) - 1
EXTREMES = [WORD.min, WORD.max, -1, 0, 1]
VALUE = DenseInput(name="x", inputs=(), output=WORD, size=2)
GAP = GapInput(name="gap", inputs=(), output=GAP_FORMAT, unit_us=1000)


def read_by_last(*nodes):
    """The program of these nodes, whose last one's value is what is read."""
    last = nodes[-1]
    settings = {"mode": "last", "extra_bits": 0, "window": 0, "decay_shift": 0}
    readout = Readout(
        name="logits",
        inputs=(last.name,),
        output=last.output,
        format=last.output,
        size=last.channels,
        **settings,
    )
    names = tuple(f"class {k}" for k in range(last.channels))
    return Program(nodes=(*nodes, readout), logits="logits", pairing="causal", class_names=names)


def ssm(discretization, shift, decay=-5):
    """Drives of both signs near ``2**31``, rounded to the state's 16 bits."""
    one = np.ones((1, 2), dtype=np.int64)
    return DiagonalSSM(
        name="ssm",
        inputs=("x", "gap"),
        output=WORD,
        format=WORD,
        discretization=discretization,
        input_re=np.array([[-TOP, -TOP], [TOP, TOP]]),
        input_im=np.array([[TOP, -TOP], [-TOP, TOP]]),
        input_width=16,
        input_frac=np.array([shift, shift]),
        bias_re=np.array([40_000, -40_000]),
        bias_im=np.array([0, 7]),
        state_width=16,
        state_frac=np.array([0, 0]),
        decay_re=decay * one,
        decay_im=3 * one,
        decay_width=15,
        decay_exponent=8 * one,
        read_shift=0,
    )


def check(program, backends):
    """Every edge, state and counter of both modes is the reference's; gives the comparison."""
    rows = samples()
    result = compare(program, rows, backends, traced=len(rows))
    assert result.differing == 0, [verdict.first for verdict in result.verdicts]
    return result


def samples():
    rows = np.array(list(itertools.product(EXTREMES, EXTREMES)), dtype=np.float64)
    rng = np.random.default_rng(0)
    times = 1000 * np.cumsum(rng.integers(0, 2, len(rows)))
    return [(rows, times), (rows[::-1].copy(), times)]


@pytest.mark.parametrize("discretization", ["async", "zoh"])
def test_drives_beyond_32_bits(backends, discretization):
    program = read_by_last(VALUE, GAP, ssm(discretization, 18))
    assert 1 << 31 <= program["ssm"].bounds()["the drive"] < 1 << 32
    check(program, backends)


def test_decay_steps_beyond_32_bits(backends):
    """Codes of 15 bits of a 18-bit state: products near ``2**31`` and above."""
    one = np.ones((1, 2), dtype=np.int64)
    codes = {"decay_re": -16000 * one, "decay_im": 4000 * one, "decay_exponent": 14 * one}
    node = replace(ssm("async", 14), state_width=18, read_shift=2, **codes)
    program = read_by_last(VALUE, GAP, node)
    assert program["ssm"].bounds()["the decay step"] >= 1 << 31
    check(program, backends)


def test_linear_sums_beyond_32_bits_of_operands_of_16(backends):
    """Weights and inputs are narrow; the sum is not."""
    node = Linear(
        name="y",
        inputs=("x",),
        output=WORD,
        formats=(WORD,),
        weights=(np.array([[TOP, TOP], [-TOP, -TOP], [TOP, -TOP]]),),
        weight_widths=(16,),
        weight_fracs=(np.full(3, 18),),
        bias=np.array([1 << 30, -(1 << 30), 5]),
    )
    assert 1 << 31 <= node.bounds()["the sum"] < 1 << 32
    check(read_by_last(VALUE, node), backends)


def test_states_of_17_bits_whose_products_are_small(backends):
    """Nothing but the state itself passes 16 bits."""
    node = ssm("async", 18)
    node = replace(
        node, state_width=18, read_shift=2, input_re=node.input_re // 64, input_im=node.input_im // 64,
        input_frac=np.array([9, 9]), decay_re=np.full((1, 2), -5), decay_im=np.full((1, 2), 3),
    )  # fmt: skip
    program = read_by_last(VALUE, GAP, node)
    assert max(node.bounds().values()) < 1 << 30
    result = check(program, backends)
    (trace,) = reference.run(program, samples()[:1])
    assert np.abs(trace.states["ssm"]).max() > 1 << 15
    assert result.oracle.states == (1, 1)


@pytest.mark.parametrize("factor", [TOP, -TOP])
def test_affine_maps_and_sums_beyond_32_bits(backends, factor):
    norm = BatchNorm(
        name="norm",
        inputs=("x",),
        output=WORD,
        format=WORD,
        multiplier=np.array([factor, -factor]),
        multiplier_width=16,
        bias=np.array([1 << 31, -(1 << 31)]),
        shift=np.array([17, 17]),
    )
    assert norm.bounds()["the affine map"] >= 1 << 31
    check(read_by_last(VALUE, norm), backends)
    coarse = Format(16, True, -16)
    total = Add(name="sum", inputs=("x", "x"), output=coarse, formats=(WORD, WORD), size=2)
    check(read_by_last(VALUE, total), backends)


def test_products_at_the_end_of_30_bits(backends):
    """-32768 times -32768 is 2**30, and its half unit goes beyond."""
    product = Multiply(name="product", inputs=("x", "x"), output=Format(16, True, -15), formats=(WORD, WORD), size=2)
    assert product.bounds()["the product"] == (1 << 30) + (1 << 14)
    check(read_by_last(VALUE, product), backends)


@pytest.mark.parametrize("width", [13, 16])
def test_currents_of_groups_of_weights(backends, width):
    """Eight rows that are added in int16 where eight weights of this width do not leave it."""
    top = (1 << (width - 1)) - 1
    spikes = DenseInput(name="x", inputs=(), output=SPIKES, size=17)
    node = LIF(
        name="cells",
        inputs=("x",),
        output=SPIKES,
        format=SPIKES,
        input=np.stack([np.full(17, top), np.full(17, -top)]),
        input_width=width,
        input_frac=np.array([4, 4]),
        recurrent=np.zeros((2, 0), dtype=np.int64),
        recurrent_width=8,
        recurrent_frac=np.array([0, 0]),
        bias=np.array([3, -3]),
        potential=Format(24, True, 4),
        threshold=np.array([4 * top, 4 * top]),
        constant_width=12,
        alpha=np.array([900, 900]),
        alpha_frac=10,
        rise=np.array([900, 900]),
        rise_frac=10,
    )
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.ones((3, 17)), rng.integers(0, 2, (20, 17))]).astype(np.float64)
    program = read_by_last(spikes, node)
    result = compare(program, [(rows, 1000 * np.arange(len(rows)))], backends, traced=1)
    assert result.differing == 0, [verdict.first for verdict in result.verdicts]


@pytest.mark.parametrize("late", [6, 10, 14])
def test_operands_that_join_late_keep_a_sum_narrow(backends, records, late):
    """A diagonal operand shifted far to the left: beyond 32 bits at once, within them behind a first shift."""
    node = Linear(
        name="sum",
        inputs=("x", "x"),
        output=Format(16, True, late - 20),
        formats=(WORD, WORD),
        weights=(np.array([[1999, -47], [3, 2047]]), np.array([TOP, -12345])),
        weight_widths=(16, 16),
        weight_fracs=(np.array([late, late]), np.array([0, 0])),
        bias=np.array([12345, -54321]),
    )
    assert node.bounds()["the sum"] > 1 << 31
    program = read_by_last(VALUE, node)
    assert (opcodes.LINEAR, opcodes.IS_NARROW) in records(program)
    check(program, backends)
