"""Modes counted in units that suit the codes of B and C: the same layer, fuller codes, less noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.program import reference
from pumice.program.nodes import DiagonalSSM, Linear
from pumice.quantize.codes import weight_codes
from pumice.quantize.exponents import row_fracs
from pumice.quantize.families import family_of, lower
from pumice.quantize.s5.equalization import FULL, MOST_SPARE, spare_bits

KINDS = {
    "tokens": {"norm": "layer"},
    "dense": {"norm": "batch", "expansion": 2},
    "zoh": {"discretization": "zoh", "stride": 2},
    "spiking": {"spiking": True},
}
ON = {"equalize": True}


def spaces(program):
    return [node for node in program if type(node) is DiagonalSSM]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rows_of_b_are_full_and_the_model_is_the_same(build, kind, bits):
    plain = build(KINDS[kind], double=True, widths={"input": bits})
    made = build(KINDS[kind], double=True, widths={"input": bits}, calibration={"method": "max", **ON})
    with torch.no_grad():
        torch.testing.assert_close(made.qat.model(*made.batch), plain.model(*plain.batch), rtol=1e-9, atol=1e-9)
    top, reached = (1 << (bits - 1)) - 1, []
    for node in spaces(lower(made.qat, "abcde"[: made.model.config.num_classes])):
        largest = np.maximum(np.abs(node.input_re).max(axis=1), np.abs(node.input_im).max(axis=1))
        np.testing.assert_array_equal(largest, top)
        reached.append(len(largest))
    before = [
        np.maximum(np.abs(node.input_re).max(axis=1), np.abs(node.input_im).max(axis=1))
        for node in spaces(lower(plain.qat, "abcde"[: made.model.config.num_classes]))
    ]
    assert bits == 2 or any((largest < top).any() for largest in before)


def test_twice_is_the_same_as_once(build):
    model = build(KINDS["tokens"], calibration=ON).qat.model
    family = family_of(model)
    before = [layer.ssm.B.clone() for layer in model.layers]
    for _ in range(3):
        family.qat.equalize(model, [8] * len(model.layers))
    for layer, b in zip(model.layers, before, strict=True):
        torch.testing.assert_close(layer.ssm.B, b, rtol=1e-6, atol=0)


def test_a_mode_that_reads_nothing_stays(build):
    model = build(KINDS["tokens"]).qat.model
    with torch.no_grad():
        model.layers[0].ssm.B[1] = 0
    output = model.layers[0].ssm.C[:, 1].clone()
    family_of(model).qat.equalize(model, [8] * len(model.layers))
    assert torch.equal(model.layers[0].ssm.C[:, 1], output)
    assert not model.layers[0].ssm.B[1].any()


@pytest.mark.parametrize("kind", KINDS)
def test_all_forms_give_the_same_integers(build, kind):
    made = build(KINDS[kind], double=True, widths={"input": 4, "output": 4}, calibration={"method": "max", **ON})
    frozen = made.qat.freeze()
    assert torch.equal(made.qat(*made.batch), frozen(*made.batch))
    program = lower(made.qat, "abcde"[: made.model.config.num_classes], frozen=frozen)
    assert program.provenance == {"equalized": True}
    found = np.stack([trace.logits for trace in reference.run(program, made.samples, trace=False)])
    np.testing.assert_array_equal(found * program[program.logits].output.scale, frozen(*made.batch).detach().numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_near_those_of_the_float_model_in_the_same_units(build, kind):
    made = build(KINDS[kind], double=True, widths={"input": 8, "activation": 12}, calibration={"method": "max", **ON})
    program = lower(made.qat, "abcde"[: made.model.config.num_classes])
    (trace,) = reference.run(program, made.samples[:1])
    for _ in range(2):  # the model may be asked again
        values = family_of(made.model).float_values(made.model, program, made.batch.first(1))
        for node in spaces(program):
            held = trace.states[node.name] * 2.0 ** -node.states()[0].fracs
            expected = values[f"{node.name}:state"]
            unit = (held * expected).sum(axis=0) / (expected**2).sum(axis=0)
            np.testing.assert_allclose(unit, 1, atol=0.12)


def noise_of(columns, peaks, bits, width, rng):
    """The mean square of what rounding C does to C x, of random states."""
    parts = columns.shape[1] // len(peaks)
    grown = np.ldexp(columns, np.tile(bits, parts))
    frac = row_fracs(grown, width, "max", 60)
    error = np.ldexp(weight_codes(grown, frac, width).astype(float), -frac[:, None]) - grown
    codes = rng.normal(size=(2000, columns.shape[1])) * np.tile(np.ldexp(peaks / 4, -bits), parts)
    return float(((codes @ error.T) ** 2).mean())


@given(st.integers(2, 12), st.integers(2, 8), st.integers(1, 2), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_fewer_bits_of_a_state_never_make_c_noisier(modes, outputs, parts, seed):
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(outputs, parts * modes)) * np.tile(np.exp2(rng.uniform(-6, 0, modes)), parts)
    peaks = np.full(modes, 2.0**14)
    bits = spare_bits(columns, peaks, np.full(modes, 0.5), 0, 4)
    assert bits.min() >= 0
    assert bits.max() <= MOST_SPARE
    before, after = (noise_of(columns, peaks, some, 4, np.random.default_rng(1)) for some in (0 * bits, bits))
    assert after <= 1.25 * before  # a rounding error is random; the model knows its mean alone


def test_c_of_unequal_columns_loses_much_of_its_noise():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(8, 40)) * np.tile(np.exp2(-np.arange(20) / 4), 2)
    peaks = np.full(20, 2.0**14)
    bits = spare_bits(columns, peaks, np.full(20, 0.5), 0, 4)
    assert bits[0] == 0
    assert bits[-1] >= 4
    before, after = (noise_of(columns, peaks, some, 4, np.random.default_rng(1)) for some in (0 * bits, bits))
    assert after < before / 2


def test_slow_modes_and_wide_weights_keep_their_bits():
    """What a state's own steps would cost is weighed as well: a dead zone of 7,100 units, or weights that are exact."""
    columns = np.ones((4, 6)) * np.array([1, 1, 1 / 8, 1 / 8, 1 / 8, 1 / 8])
    growth = np.array([0.5, 0.5, 0.5, 0.5, 1e-4, 1e-4])
    peaks = np.full(6, 2.0**14)
    bits = spare_bits(columns, peaks, growth, 0, 4)
    np.testing.assert_array_equal(bits, [0, 0, 3, 3, 0, 0])
    assert not spare_bits(columns, peaks, growth, 0, 16).any()
    assert spare_bits(columns, peaks, growth, 8, 4)[4] >= bits[4]  # C reads the upper half: steps are small beside that


def test_states_in_front_of_a_narrow_c_have_fewer_fractional_bits(build):
    wide, narrow = (
        np.concatenate(
            [layer.state_frac.numpy() for layer in build({}, widths={"output": bits}, calibration=ON).qat.layers]
        )
        for bits in (16, 3)
    )
    assert (narrow <= wide).all()
    assert (narrow < wide).any()


def test_programs_say_what_their_states_are_counted_in(build):
    plain, made = (build(KINDS["tokens"], widths={"output": 4}, calibration=c) for c in ({}, ON))
    a, b = (lower(one.qat, "abcde"[: one.model.config.num_classes]) for one in (plain, made))
    assert "equalized" not in a.provenance
    assert b.provenance["equalized"] is True
    assert any((x.state_frac != y.state_frac).any() for x, y in zip(spaces(a), spaces(b), strict=True))
    full = [np.mean([np.abs(w).mean() for node in p if type(node) is Linear for w in node.weights]) for p in (a, b)]
    assert full[1] > full[0]
    assert 0 < 1 - FULL < 0.01
