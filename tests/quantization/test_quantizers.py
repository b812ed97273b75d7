"""Brevitas quantizers: exponents, codes, freezing, refusals, precision."""

import itertools
import math
from fractions import Fraction

import brevitas.nn
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.quantization.exponents import activation_frac, power_of_two_frac, weight_frac
from pumice.quantization.quantizers import (
    QuantActivation,
    QuantParameter,
    RowWeight,
    TensorQuantizer,
    TensorWeight,
    freeze_scales,
    quant_frac,
)
from pumice.quantization.rounding import code_range, pow2_quantize


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
def test_layers_hold_exact_codes(dtype, training, width, method):
    torch.manual_seed(0)
    settings = {"weight_bit_width": width, "weight_frac_method": method}
    layers = (
        brevitas.nn.QuantLinear(6, 5, bias=False, weight_quant=RowWeight, **settings),
        brevitas.nn.QuantEmbedding(5, 6, weight_quant=TensorWeight, **settings),
        QuantParameter(torch.randn(5, 6), width, method=method),
    )
    for layer in layers:
        layer.to(dtype).train(training)
        value = layer.quant_weight()
        frac = quant_frac(layer)
        assert value.value.dtype == dtype
        assert torch.equal(frac, weight_frac(layer.weight, width, method, per_row=frac.dim() > 0))
        assert torch.equal(value.value.double(), oracle(layer.weight.detach(), frac, width))
        assert torch.equal(value.scale.flatten().double(), 2.0 ** -frac.double().flatten())
        value.value.sum().backward()
        assert torch.equal(layer.weight.grad, torch.ones_like(layer.weight))


def test_float32_and_float64_choose_the_same_codes():
    layer = QuantParameter(torch.randn(20, 30, generator=torch.Generator().manual_seed(4)), 8)
    assert torch.equal(layer().double(), layer.double()())


def test_a_computed_tensor_is_quantized_with_a_gradient():
    quantizer = TensorQuantizer((3, 4), 8)
    assert list(quantizer.parameters()) == []
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), requires_grad=True)
    value = quantizer(2 * x)
    assert torch.equal(value.double(), oracle((2 * x).detach(), quantizer.frac, 8))
    value.sum().backward()
    assert torch.equal(x.grad, torch.full_like(x, 2))
    assert torch.equal(quantizer(1000 * x).double(), oracle((1000 * x).detach(), quantizer.frac, 8))


def test_frozen_exponents_stay_and_are_saved():
    layer = QuantParameter(torch.tensor([[1.0, 0.3]]), 8)
    layer()
    freeze_scales(layer)
    with torch.no_grad():
        layer.weight.mul_(10)
    assert layer().tolist() == [[127 / 64, 127 / 64]]
    other = QuantParameter(torch.zeros(1, 2), 8)
    other.load_state_dict(layer.state_dict())
    assert other().tolist() == layer().tolist()
    assert other.double()().dtype == torch.float64


def test_what_has_no_scale_is_refused():
    model = torch.nn.ModuleDict({"act": QuantActivation(8), "weight": QuantParameter(torch.ones(1, 1), 8)})
    for training in (True, False):
        model.train(training)
        with pytest.raises(PumiceError, match="calibrate the model"):
            model["act"](torch.ones(3))
    with pytest.raises(PumiceError, match="run the model once"):
        _ = model["weight"].frac
    model["act"].frac = 3
    with pytest.raises(PumiceError, match="weight has no scale to freeze"):
        freeze_scales(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("width", "signed"), [(8, True), (16, True), (8, False)])
def test_activations(dtype, training, width, signed):
    act = QuantActivation(width, signed).to(dtype).train(training)
    x = torch.randn(50, dtype=dtype, generator=torch.Generator().manual_seed(width))
    act.calibrate(x)
    assert act.frac == activation_frac(x, width, signed)
    act.frac = act.frac + 1  # so that some values are clipped
    leaf, twin = x.clone().requires_grad_(), x.clone().requires_grad_()
    value, expected = act(leaf), pow2_quantize(twin, act.frac, width, signed)
    assert value.dtype == dtype
    assert torch.equal(value, expected)
    value.sum().backward()
    expected.sum().backward()
    assert torch.equal(leaf.grad, twin.grad)
    assert 0 < twin.grad.sum() < 50


def test_an_activation_without_calibration_stays_so_through_a_state_dict():
    calibrated, fresh = QuantActivation(8), QuantActivation(8)
    calibrated.frac = 4
    fresh.load_state_dict(calibrated.state_dict())
    assert fresh.frac == 4
    assert fresh(torch.tensor(0.3)).item() == 5 / 16
    calibrated.load_state_dict(QuantActivation(8).state_dict())
    assert calibrated.frac is None
