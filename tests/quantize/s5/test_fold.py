"""Folded layers against the float layers that they stand for, in float64."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from pumice.models.s5.norm import normalize
from pumice.program.formats import Format
from pumice.quantize.s5.exponents import mode_rows, read_columns, tick_rate
from pumice.quantize.s5.fold import exact_layer, fold_layer

SETTINGS = [
    {"norm": norm, "conj_sym": conj, "discretization": kind, "clip_eigs": conj, "expansion": expansion}
    for norm, conj, kind, expansion in [
        ("layer", True, "async", 1),
        ("layer", False, "zoh", 2),
        ("batch", True, "dirac", 2),
        ("batch", False, "async", 1),
    ]
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s['norm']}-{s['discretization']}")
def test_a_folded_layer_is_the_layer(build, settings):
    made = build(settings)
    model = made.model.double()
    for number, layer in enumerate(model.layers):
        ssm, width = layer.ssm, layer.ssm.B.shape[1]
        with torch.no_grad():
            ssm.Lambda_re[0] = 0.0  # where clip_eigs is set it may not stand still
        folded = exact_layer(partial(fold_layer, layer), str(number))
        x = torch.randn(7, width, dtype=torch.float64) * 1.7 + 0.4
        with torch.no_grad():
            u = normalize(layer.norm, x, torch.ones(7))
            drive = (u @ ssm.input_matrix().mT).numpy()
            through = ssm.output(torch.zeros(()), u).numpy()
            matrix, rates = ssm.output_matrix().numpy(), ssm.rates().numpy()
        if settings["norm"] == "batch":
            plain = x.numpy() * folded.norm.multiplier + folded.norm.offset
            np.testing.assert_allclose(plain, u.numpy(), rtol=1e-9, atol=1e-12)
        else:
            plain = x.numpy() - x.numpy().mean(1, keepdims=True)
            plain = plain / np.sqrt((plain**2).mean(1, keepdims=True) + layer.norm.eps)
        np.testing.assert_allclose(plain @ folded.input.T + folded.input_bias, drive, rtol=1e-9, atol=1e-12)
        d = folded.feedthrough
        fed = plain * d if d.ndim == 1 else plain @ d.T
        np.testing.assert_allclose(fed + folded.bias, through, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(folded.output, matrix, rtol=1e-12)
        np.testing.assert_allclose(folded.rate, rates, rtol=1e-12)
        assert (folded.rate.real[0] < 0) == settings["clip_eigs"]
        for mine, own in ((folded.gate, layer.gate.weight), (folded.gate_bias, layer.gate.bias)):
            np.testing.assert_array_equal(mine, own.detach().numpy())


def test_a_mode_that_grows_is_held(build):
    layer = build({"clip_eigs": False}).model.layers[0]
    with torch.no_grad():
        layer.ssm.Lambda_re[1] = 0.3
    folded = exact_layer(partial(fold_layer, layer), "0")
    assert folded.rate[1].real == 0
    assert folded.rate[1].imag != 0


def test_rates_of_a_tick_and_columns_of_codes(build):
    made = build()
    layer, qat = made.qat.model.layers[0], made.qat.layers[0]
    folded, formats = exact_layer(partial(fold_layer, layer), "0"), qat.formats(Format(16, True, 8))
    np.testing.assert_allclose(tick_rate(folded, 0.25), folded.rate * 0.25)
    codes = np.random.default_rng(0).integers(-(2**14), 2**14, 2 * len(folded.rate))
    values = codes * 2.0 ** -np.tile(formats.state_frac, 2).astype(float)
    np.testing.assert_allclose((codes * 2.0**-formats.read_shift) @ read_columns(folded.output, formats).T,
                               values @ folded.output.T)  # fmt: skip
    planar = np.arange(12.0).reshape(4, 3)  # two modes: re, re, im, im
    assert mode_rows(planar, 2).tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]
