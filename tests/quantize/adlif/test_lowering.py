"""Formats, constants and lowering of spiking networks: what they choose, report and refuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.program import Format, digest, load, save
from pumice.program.nodes import LIF, SPIKES, AdaptiveLIF, DenseInput, LeakyIntegrator, Readout
from pumice.quantize.adlif.codes import cell_codes, cell_fracs, constant_codes, decay_codes, threshold_codes
from pumice.quantize.adlif.fold import FoldedCell
from pumice.quantize.adlif.formats import CellFormats
from pumice.quantize.adlif.report import STATES, lowering_report
from pumice.quantize.config import QuantizationConfig, Widths
from pumice.quantize.families import lower, prepare
from pumice.quantize.lowering import dead_zones
from pumice.quantize.observers import InputObserver
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs

NAMES = ("a", "b", "c", "d", "e")


def lowered(made, max_dead_zone=0.1):
    made.qat.config = replace(made.qat.config, max_dead_zone=max_dead_zone)
    return lower(made.qat, NAMES)


def test_the_graph_and_its_names(build_spiking):
    program = lowered(build_spiking({"layers": 2}))
    kinds = [DenseInput, AdaptiveLIF, AdaptiveLIF, LeakyIntegrator, Readout]
    assert [type(node) for node in program] == kinds
    assert [node.name for node in program] == ["dense", "cells/0", "cells/1", "readout", "logits"]
    assert program.series == "readout"
    assert program["cells/1"].format == SPIKES
    assert isinstance(lowered(build_spiking({"cell": "lif"}))["cells/0"], LIF)


def test_the_same_weights_give_the_same_program(build_spiking, tmp_path):
    first, second = (lowered(build_spiking({"layers": 2})) for _ in range(2))
    assert digest(first) == digest(second)
    assert save(first, tmp_path / "program.npz") == digest(load(tmp_path / "program.npz"))


def test_codes_stand_for_the_float_constants(build_spiking):
    """The constants by their equations (Baronig et al. 2024), from the parameters."""
    made = build_spiking()
    program, cell = lowered(made), made.model.cells[0]
    node = program["cells/0"]
    p = {name: parameter.detach().double().numpy() for name, parameter in cell.named_parameters()}
    (least_u, most_u), (least_w, most_w) = made.model.config.tau_u, made.model.config.tau_w
    alpha = np.exp(-1 / (p["tau_u.p"] * most_u + (1 - p["tau_u.p"]) * least_u))
    beta = np.exp(-1 / (p["tau_w.p"] * most_w + (1 - p["tau_w.p"]) * least_w))
    q = made.model.config.q
    constants = {"alpha": alpha, "rise": 1 - alpha, "beta": beta}
    constants |= {"coupling": (1 - beta) * q * p["a"], "jump": (1 - beta) * q * p["b"]}
    for name, values in constants.items():
        unit = 2.0 ** -getattr(node, f"{name}_frac")
        assert np.abs(getattr(node, name) * unit - values).max() <= unit / 2 * (1 + 1e-9), name
        assert unit <= 2 * values.max() / (2**15 - 1), name
    unit = np.exp2(-node.recurrent_frac.astype(float))[:, None]
    error = np.abs(node.recurrent * unit - p["recurrent"])
    assert error[np.abs(node.recurrent) < 127].max() <= unit.max() / 2
    readout, float_readout = program["readout"], made.model.readout
    kappa = float_readout.tau.decay().detach().double().numpy()
    weight = (1 - kappa)[:, None] * float_readout.linear.weight.detach().double().numpy()
    unit = np.exp2(-readout.weight_frac.astype(float))[:, None]
    assert (np.abs(readout.weight * unit - weight) <= unit / 2 + 1e-9)[np.abs(readout.weight) < 2047].all()
    assert np.abs(readout.decay * 2.0**-readout.decay_frac - kappa).max() < 2.0**-15


def test_layers_have_widths_of_their_own(build_spiking):
    layers = {"cells.1": {"synapses": 4, "adaptation": 20}, "readout": {"decoder": 8, "residual": 14}}
    program = lowered(build_spiking({"layers": 2}, layers=layers))
    first, second, readout = program["cells/0"], program["cells/1"], program["readout"]
    assert (first.input_width, first.recurrent_width, first.adaptation.width) == (8, 8, 16)
    assert (second.input_width, second.recurrent_width, second.adaptation.width) == (4, 4, 20)
    assert np.abs(second.recurrent).max() <= 7
    assert (readout.weight_width, readout.output.width) == (8, 14)


@pytest.mark.parametrize(
    ("settings", "layers", "part"),
    [
        ({}, {"cells.7": {"synapses": 4}}, r"cells\.7, which the model lacks; its layers are cells\.0, readout"),
        ({}, {"cells.0": {"state": 20}}, "the width state, which this layer does not have"),
        ({"cell": "lif"}, {"cells.0": {"adaptation": 20}}, "its widths are constant, potential, synapses"),
        ({"cell": "lstm"}, {}, r"model\.cell=lstm has no spiking neurons"),
    ],
)
def test_what_a_model_does_not_have_is_named(settings, layers, part):
    model = AdLIFNetwork(AdLIFConfig(num_classes=2, in_features=2, hidden=3, **settings), torch.Generator())
    with pytest.raises(PumiceError, match=part):
        prepare(model, QuantizationConfig(layers=layers))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1], Format(1, False, 0)),
        ([0, 0], Format(1, False, 0)),
        ([-1, 0, 1], Format(2, True, 0)),
        ([0, 255], Format(8, False, 0)),
        ([-127, 3], Format(8, True, 0)),
        ([0, 256], Format(8, False, -1)),
        ([0, 0.5], Format(8, False, 8)),
        ([-0.9, 0.9], Format(8, True, 7)),
    ],
)
def test_input_formats(values, expected):
    observer = InputObserver()
    for value in values:
        observer.update(torch.tensor([[value]], dtype=torch.float32))
    assert observer.format(8, "max") == expected
    assert InputObserver().format(8, "max") is None


def test_formats_leave_headroom_and_reach_the_threshold(build_spiking):
    for headroom in (0, 1, 3):
        made = build_spiking(calibration={"headroom": headroom})
        (formats,) = made.qat.formats()
        real = torch.arange(60) < made.batch.lengths.unsqueeze(1)
        trace = made.model.cells[0].trace(made.batch.inputs)
        for format, values in ((formats.potential, trace.u_pre), (formats.adaptation, trace.w)):
            largest = float(values[real].detach().abs().max()) * 2.0**format.frac
            assert 2 ** (14 - headroom) - 1 <= largest < 2 ** (15 - headroom)
    quiet = build_spiking(calibration={"headroom": 0})
    with torch.no_grad():
        quiet.qat.model.cells[0].input.weight.zero_()
        quiet.qat.model.cells[0].input.bias.zero_()
    calibrate(quiet.qat, [quiet.batch.padded()])
    node = lowered(quiet)["cells/0"]
    assert node.threshold[0] == 1 << node.potential.frac
    assert node.threshold[0] < node.potential.max


def test_padding_is_not_looked_at(build_spiking):
    made = build_spiking(lengths=(30, 5))
    before = made.qat.formats()
    inputs = made.batch.inputs.clone()
    inputs[1, 5:] = 200.5
    calibrate(made.qat, [made.batch._replace(inputs=inputs).padded()])
    assert made.qat.formats() == before


@pytest.mark.parametrize(
    ("threshold", "frac", "code"), [(1.0, 12, 4096), (0.3, 3, 2), (1.0, -1, 0), (2.5, 0, 2), (0.9, 2, 3)]
)
def test_the_threshold_of_codes_asks_what_the_threshold_asks(threshold, frac, code):
    potential = Format(16, True, frac)
    assert threshold_codes(threshold, potential, 2).tolist() == [code, code]
    for q in range(-8, 5000):
        assert (q > code) == (q * potential.scale > threshold)


def test_constants_are_rounded_half_up_and_decays_stay_below_one():
    assert constant_codes(np.array([0.5, 1.49, 0.0]), 0, 8).tolist() == [1, 1, 0]
    assert constant_codes(np.array([127.6]), 0, 8).tolist() == [127]
    assert decay_codes(np.array([1 - 2.0**-20, 0.5]), 15, 16).tolist() == [(1 << 15) - 1, 1 << 14]


def test_a_neuron_that_hardly_decays_is_refused_and_the_named_width_cures_it(build_spiking):
    slow = {"tau_w": (1e6, 2e6), "q": 120.0}
    with pytest.raises(PumiceError, match=r"cells\.0: the adaptation of neuron .* \{adaptation: (\d+)\}") as caught:
        lowered(build_spiking(slow))
    width = int(str(caught.value).split("adaptation: ")[1].split("}")[0])
    lowered(build_spiking(slow, layers={"cells.0": {"adaptation": width}}))
    with pytest.raises(PumiceError, match="dead zone"):
        lowered(build_spiking(slow, layers={"cells.0": {"adaptation": width - 1}}))
    with pytest.raises(PumiceError, match=r"readout: the residual of neuron .* train with shorter time constants"):
        lowered(build_spiking({"tau_out": (1e6, 1e6)}))


def test_dead_zones_are_measured_on_the_codes(build_spiking):
    program = lowered(build_spiking())
    zones = {(zone.layer, zone.state): zone for zone in dead_zones(program.nodes, STATES)}
    assert set(zones) == {("cells.0", "potential"), ("cells.0", "adaptation"), ("readout", "residual")}
    node = program["cells/0"]
    beta = node.beta * 2.0**-node.beta_frac
    zone = zones["cells.0", "adaptation"]
    assert zone.number == beta.argmax()
    assert zone.units == pytest.approx(0.5 / (1 - beta.max()))
    assert zone.share == zone.units / 2**15


def test_report(build_spiking):
    made = build_spiking({"layers": 2})
    report = lowering_report(made.qat, lowered(made))
    assert [entry["layer"] for entry in report] == ["cells.0", "cells.1", "readout"]
    assert report[0]["formats"]["input"] == "s2.0"
    assert report[0]["registers"]["the current"] == "i32"
    assert 0 < report[0]["stability"] < 1
    assert report[2]["stability"] is None
    coarse = build_spiking(widths={"synapses": 2}, calibration={"method": "mse"})
    entry = lowering_report(coarse.qat, lowered(coarse))[0]
    assert sum(entry["clipped_weights"].values()) > 0


def test_an_unstable_model_is_refused(build_spiking):
    made = build_spiking({"cell": "ef-adlif", "q": 20.0})
    made.qat.model.cells[0].q = 5000.0
    with pytest.raises(PumiceError, match=r"cells/0: .* neurons are unstable"):
        made.qat.freeze()


def folded_cell(alpha, beta, coupling):
    arrays = [np.array([value], dtype=np.float64) for value in (alpha, 1 - alpha, beta, coupling, 0.5)]
    return FoldedCell(np.ones((1, 1)), np.zeros(1), np.ones((1, 1)), *arrays)


@settings(deadline=None)
@example(order="se", taus=(34.0, 13.0), below=0.0, width=8)  # a coupling above 127: its exponent is negative
@given(
    order=st.sampled_from(["se", "ef"]),
    taus=st.tuples(st.floats(0.3, 60), st.floats(0.3, 500)),
    below=st.floats(0, 0.05),
    width=st.integers(8, 16),
)
def test_what_is_stable_in_floats_is_stable_in_codes(order, taus, below, width):
    """And the coupling gives way no further than it has to."""
    alpha, beta = np.exp(-1 / np.array(taus))
    limit = (1 + alpha) * (1 + beta) if order == "se" else 1 - alpha * beta
    folded = folded_cell(alpha, beta, (1 - below) * limit / (1 - alpha))
    assume((folded.rise * folded.coupling < limit).all())
    formats = CellFormats(SPIKES, Format(16, True, 11), Format(16, True, 9))
    fracs = cell_fracs(folded, formats, Widths(constant=width), "max")
    codes = cell_codes(folded, order, fracs, width)

    def stable(coupling):
        values = {name: int(code[0]) / Fraction(2) ** fracs.constants[name] for name, code in codes.items()}
        a, b = values["alpha"], values["beta"]
        return values["rise"] * coupling < ((1 + a) * (1 + b) if order == "se" else 1 - a * b)

    unit = 1 / Fraction(2) ** fracs.constants["coupling"]
    code = int(codes["coupling"][0])
    assert stable(code * unit)
    free = int(constant_codes(folded.coupling, fracs.constants["coupling"], width)[0])
    assert code == free or (code < free and not stable((code + 1) * unit))


@pytest.mark.parametrize("what", ["input", "recurrent", "a", "b", "readout", "everything"])
def test_all_zero_weights_work(build_spiking, what):
    made = build_spiking({"layers": 2})
    with torch.no_grad():
        for name, parameter in made.qat.model.named_parameters():
            if f".{what}" in name or name.startswith(what) or (what == "everything" and "tau" not in name):
                parameter.zero_()
    calibrate(made.qat, [made.batch.padded()])
    lowered(made)
    assert made.qat.freeze().trace(made.batch.padded())[0].isfinite().all()


@pytest.mark.parametrize("weights", [0.0, 1.0])
def test_a_network_that_never_spiked_in_calibration_works(build_spiking, weights):
    """Its potentials are its biases, however small; the first spike has room beside them."""
    made = build_spiking({"tau_out": (3.0, 3.0)})
    inner = made.qat.model
    with torch.no_grad():
        inner.cells[0].input.weight.zero_()
        inner.cells[0].input.bias.zero_()
        inner.readout.linear.weight.mul_(weights)
        inner.readout.linear.bias.fill_(1e-12)
    calibrate(made.qat, [made.batch.padded()])
    readout = lowered(made)["readout"]
    assert np.abs(readout.weight).max() * 2.0 ** -readout.weight_frac.min() <= readout.output.max * readout.output.scale
    if not weights:
        potentials = made.qat.freeze().trace(made.batch.padded())[0]
        torch.testing.assert_close(potentials[:, -1], torch.full_like(potentials[:, -1], 1e-12), rtol=1e-3, atol=0)


def test_weights_that_are_not_finite_are_named(build_spiking):
    made = build_spiking()
    with torch.no_grad():
        made.qat.model.cells[0].recurrent[0, 0] = torch.nan
    with pytest.raises(PumiceError, match=r"cells\.0: 'recurrent' holds NaN"):
        made.qat.freeze()


def test_sums_that_do_not_fit_are_refused_with_the_layer(build_spiking):
    made = build_spiking({"layers": 2})
    with torch.no_grad():
        made.qat.model.cells[1].input.bias.fill_(1e15)
    with pytest.raises(PumiceError, match="cells/1"):
        made.qat.freeze()


def test_an_uncalibrated_model_is_refused(build_spiking):
    made = build_spiking()
    fresh = prepare(made.model, QuantizationConfig())
    with pytest.raises(PumiceError, match="not calibrated"):
        made.batch.apply(fresh)
    with pytest.raises(PumiceError, match="calibration saw no step"):
        fresh.set_formats(fresh.observer())
    observer = fresh.observer()
    with pytest.raises(PumiceError, match="NaN or infinity"):
        fresh.observe(observer, made.batch._replace(inputs=made.batch.inputs * torch.inf).padded())


def test_class_names_must_fit(build_spiking):
    with pytest.raises(PumiceError, match="2 class names"):
        lower(build_spiking().qat, ("a", "b"))


def test_the_layer_whose_potentials_are_not_finite_is_named():
    model = build_adlif({"hidden": 8, "layers": 2, "cell": "lif"}, num_classes=3, in_features=4, seed=0)
    qat = prepare(model, QuantizationConfig())
    with torch.no_grad():
        qat.model.cells[0].input.bias.fill_(100.0)  # all of them spike
        qat.model.cells[1].input.weight.fill_(3e38)
    inputs = Inputs(torch.ones(1, 6, 4), None, torch.tensor([6]))
    with pytest.raises(PumiceError, match=r"^the potential of cells\.1 holds NaN or infinity in calibration"):
        calibrate(qat, [inputs])
