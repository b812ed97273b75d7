"""Brevitas quantizers: exponents, codes, refusals, precision."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.quantize.exponents import power_of_two_frac, weight_frac
from pumice.quantize.quantizers import QuantActivation, TensorQuantizer
from pumice.quantize.rounding import code_range, pow2_quantize


def activation_frac(values, width, signed=True, method="max"):
    return int(power_of_two_frac(values.reshape(1, -1), width, signed, narrow=False, method=method))


def exact_code(x: float, frac: int) -> int:
    return math.floor(Fraction(x) * Fraction(2) ** frac + Fraction(1, 2))


@given(x=st.floats(2.0**-40, 2.0**30), width=st.integers(2, 16), signed=st.booleans())
def test_max_is_the_finest_exponent_that_clips_nothing(x, width, signed):
    high = code_range(width, signed)[1]
    frac = activation_frac(torch.tensor([x, 0.0], dtype=torch.float64), width, signed)
    assert exact_code(x, frac) <= high < exact_code(x, frac + 1)


@given(st.integers(-20, 20), st.integers(2, 12))
def test_powers_of_two_are_no_special_case(exponent, width):
    """Where ceil(log2 x) of float32 and float64 part: the neighbours of a power of two."""
    middle = np.float32(2.0**exponent)
    for x in (np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(np.inf))):
        single = weight_frac(torch.tensor([[x]], dtype=torch.float32), width)
        assert torch.equal(single, weight_frac(np.array([[x]], dtype=np.float64), width))


@pytest.mark.parametrize("width", [2, 4, 8])
def test_mse_is_the_best_of_all_exponents(width):
    weight = torch.randn(6, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(width)) ** 3
    chosen = weight_frac(weight, width, "mse")
    for row, frac in zip(weight, chosen.tolist(), strict=True):
        errors = {f: (pow2_quantize(row, f, width, narrow=True) - row).square().sum().item() for f in range(-8, 16)}
        assert errors[frac] == min(errors.values())
    assert (chosen > weight_frac(weight, width, "max")).any() == (width < 8)


def test_mse_goes_as_far_as_four_bits_beyond_what_clips_nothing():
    """Ten thousand small weights outweigh a large one that is clipped to a sixteenth."""
    weight = torch.full((1, 10_001), 0.05, dtype=torch.float64)
    weight[0, 0] = 1.0
    plain, chosen = (int(weight_frac(weight, 4, method)) for method in ("max", "mse"))
    assert chosen == plain + 4
    errors = {f: (pow2_quantize(weight, f, 4, narrow=True) - weight).square().sum().item() for f in range(plain + 5)}
    assert min(errors, key=errors.get) == chosen


def test_one_exponent_for_a_tensor_and_zero_rows():
    weight = torch.tensor([[0.0, 0.0], [3.0, -0.1]])
    assert weight_frac(weight, 8).tolist() == [7, 5]
    assert weight_frac(weight, 8, per_row=False).item() == 5


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    with pytest.raises(PumiceError, match="NaN or infinity"):
        weight_frac(torch.tensor([[1.0, bad]]), 8)


def test_an_unknown_method_is_refused():
    with pytest.raises(PumiceError, match="'percentile' is unknown"):
        power_of_two_frac(torch.ones(1, 1), 8, True, True, "percentile")


def oracle(weight: torch.Tensor, frac: torch.Tensor, width: int) -> torch.Tensor:
    limit = 2 ** (width - 1) - 1
    rows = [
        [min(max(exact_code(x, int(f)), -limit), limit) * 2.0 ** -int(f) for x in row]
        for row, f in zip(weight.tolist(), frac.expand(len(weight)).tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    ("dtype", "training", "width", "method"),
    list(itertools.product((torch.float32, torch.float64), (True, False), (2, 4, 8, 12), ("max", "mse"))),
)
@pytest.mark.parametrize("per_row", [True, False])
def test_tensors_hold_exact_codes(dtype, training, width, method, per_row):
    weight = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    quantizer = TensorQuantizer((5, 6), width, per_row=per_row).to(dtype).train(training)
    frac = weight_frac(weight, width, method, per_row=per_row)
    quantizer.set_frac(frac.numpy())
    assert torch.equal(quantizer.frac, frac.flatten())
    value = quantizer(weight)
    assert value.dtype == dtype
    assert torch.equal(value.double(), oracle(weight.detach(), quantizer.frac, width))
    value.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_float32_and_float64_choose_the_same_codes():
    weight = torch.randn(20, 30, generator=torch.Generator().manual_seed(4))
    quantizer = TensorQuantizer((20, 30), 8)
    quantizer.set_frac(weight_frac(weight, 8).numpy())
    assert torch.equal(weight_frac(weight, 8), weight_frac(weight.double(), 8))
    assert torch.equal(quantizer(weight).double(), quantizer.double()(weight.double()))


def test_a_computed_tensor_is_quantized_with_a_gradient():
    quantizer = TensorQuantizer((3, 4), 8)
    assert list(quantizer.parameters()) == []
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
    quantizer.set_frac(weight_frac(2 * x, 8).numpy())
    value = quantizer(2 * x)
    assert torch.equal(value.double(), oracle((2 * x).detach(), quantizer.frac, 8))
    value.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 2))


def test_exponents_stay_and_are_saved():
    quantizer = TensorQuantizer((1, 2), 8)
    quantizer.set_frac(6)
    weight = torch.tensor([[10.0, 3.0]])
    assert quantizer(weight).tolist() == [[127 / 64, 127 / 64]]
    other = TensorQuantizer((1, 2), 8)
    other.load_state_dict(quantizer.state_dict())
    assert other(weight).tolist() == quantizer(weight).tolist()
    assert other.double()(weight.double()).dtype == torch.float64


def test_checkpoints_of_older_versions_are_read():
    """They hold a flag beside each weight's exponents."""
    quantizer, other = TensorQuantizer((1, 2), 8), TensorQuantizer((1, 2), 8)
    quantizer.set_frac(6)
    state = quantizer.state_dict()
    (key,) = state
    other.load_state_dict({**state, key.replace("frac", "frozen"): torch.tensor(True)})
    assert other.frac.tolist() == [6]


def test_what_has_no_scale_is_refused():
    model = torch.nn.ModuleDict({"act": QuantActivation(8), "weight": TensorQuantizer((1, 1), 8)})
    for training in (True, False):
        model.train(training)
        with pytest.raises(PumiceError, match="calibrate the model"):
            model["act"](torch.ones(3))
        with pytest.raises(PumiceError, match="run the whole model"):
            model["weight"](torch.ones(1, 1))
    with pytest.raises(PumiceError, match="run the whole model"):
        _ = model["weight"].frac


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("width", [8, 16])
def test_activations(dtype, training, width):
    act = QuantActivation(width).to(dtype).train(training)
    x = torch.randn(50, dtype=dtype, generator=torch.Generator().manual_seed(width))
    act.frac = activation_frac(x, width) + 1  # so that some values are clipped
    leaf, copy = x.clone().requires_grad_(), x.clone().requires_grad_()
    value, expected = act(leaf), pow2_quantize(copy, act.frac, width)
    assert value.dtype == dtype
    assert torch.equal(value, expected)
    value.sum().backward()
    expected.sum().backward()
    assert torch.equal(leaf.grad, copy.grad)
    assert 0 < copy.grad.sum() < 50


def test_an_activation_without_calibration_stays_so_through_a_state_dict():
    calibrated, fresh = QuantActivation(8), QuantActivation(8)
    calibrated.frac = 4
    fresh.load_state_dict(calibrated.state_dict())
    assert fresh.frac == 4
    assert fresh(torch.tensor(0.3)).item() == 5 / 16
    calibrated.load_state_dict(QuantActivation(8).state_dict())
    assert calibrated.frac is None
