"""QAT models of spiking networks: frozen, in float64, they give the integers of the reference, as in fine-tuning."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.program import reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample
from pumice.quantize.adlif.frozen import FrozenAdLIF
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import prepare
from pumice.quantize.lowering import make_program
from pumice.quantize.qat import calibrate
from pumice.quantize.weights import load_frozen, save_frozen
from pumice.train.data.inputs import Inputs

STEP_US = 4000
CELLS = ("se-adlif", "ef-adlif", "lif", "cuba-lif")
RISING = {"rise": "one", "tau_u": (5.0, None), "tau_i": (2.0, None), "tau_out": (None, None)}
"""Neurons and integrators that leak little or nothing."""
WIDTHS = {
    "defaults": {},
    "w4": {"synapses": 4},
    "w2-coarse": {"synapses": 2, "decoder": 4, "constant": 8, "potential": 8, "adaptation": 8, "residual": 8},
    "states-24": {"potential": 24, "adaptation": 24},
    "states-32": {"potential": 32, "adaptation": 32, "synapses": 16, "decoder": 16, "dense_input": 16},
    "unequal": {"potential": 12, "adaptation": 20, "constant": 12},
}


def differing(frozen, program, inputs):
    """Values compared with the reference, and those that differ, over all edges, states and potentials."""
    potentials, trace = frozen.trace(steps(inputs))
    scale = program["readout"].output.scale
    assert (potentials.numpy() == trace["readout"].numpy() * scale).all()
    samples = [(row.numpy(), STEP_US * np.arange(len(row))) for row in inputs]
    wrong = compared = 0
    for number, expected in enumerate(reference.run(program, samples)):
        found = {name: codes[number].numpy() for name, codes in trace.items()}
        wanted = {name: codes for name, codes in expected.values.items() if name != "logits"}
        wanted |= {f"{name}:state": codes for name, codes in expected.states.items()}
        assert found.keys() == wanted.keys()
        for name, codes in wanted.items():
            assert found[name].shape == codes.shape
            compared += codes.size
            wrong += int((found[name] != codes).sum())
        assert (found["readout"][-1] == expected.logits).all()
    return compared, wrong


def steps(inputs):
    """Whole sequences (B, T, F) as a model reads them."""
    return Inputs(inputs, None, torch.full((len(inputs),), inputs.shape[1]))


def lowered(frozen, classes=5):
    return make_program(frozen.nodes(), frozen.logits, "causal", [str(number) for number in range(classes)], None)


@pytest.mark.parametrize(
    ("cell", "layers", "kind"),
    [*itertools.product(CELLS, (1, 2), ("signs",)), *itertools.product(CELLS, (1,), ("spikes", "counts", "real"))],
)
def test_frozen_model_gives_the_integers_of_the_reference(build_spiking, cell, layers, kind):
    made = build_spiking({"cell": cell, "layers": layers}, kind=kind)
    frozen = made.qat.freeze()
    compared, wrong = differing(frozen, lowered(frozen), made.batch.inputs)
    assert wrong == 0
    assert compared > 2000
    trace = frozen.trace(made.batch.padded())[1]
    rates = [float(trace[f"cells/{layer}"].double().mean()) for layer in range(layers)]
    assert all(0.003 < rate < 0.6 for rate in rates), rates


@pytest.mark.parametrize("refractory", [1, 3, 7])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_refractory_time_gives_the_integers_of_the_reference(build_spiking, cell, reset, refractory):
    made = build_spiking({"cell": cell, "layers": 2, "reset": reset, "refractory": refractory, "threshold": 0.5})
    made.batch.apply(made.qat)
    frozen = made.qat.freeze()
    program = lowered(frozen)
    assert differing(frozen, program, made.batch.inputs)[1] == 0
    assert program["cells/1"].refractory == refractory
    z = frozen.trace(made.batch.padded())[1]["cells/0"].bool()
    assert z.sum() > 20
    for later in range(1, refractory + 1):
        assert not (z[:, later:] & z[:, :-later]).any()
    assert (z[:, refractory + 1 :] & z[:, : -refractory - 1]).any()


@pytest.mark.parametrize("reset", ["zero", "subtract", "late-zero", "late-subtract"])
@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        *((cell, {}) for cell in CELLS),
        ("lif", RISING),
        ("cuba-lif", RISING),
        ("se-adlif", {"rise": "one", "q": 2.0}),
    ],
    ids=[*CELLS, "if", "cuba-if", "se-one"],
)
def test_every_reset_and_rise_gives_the_integers_of_the_reference(build_spiking, cell, settings, reset):
    made = build_spiking({"cell": cell, "layers": 2, "reset": reset, "threshold": 0.9, **settings})
    if settings is RISING:
        with torch.no_grad():
            for layer in made.qat.model.cells:
                layer.input.weight.mul_(0.05)
                layer.tau_u.p[:3] = 1.0
        calibrate(made.qat, [made.batch.padded()])
    frozen = made.qat.freeze()
    program = lowered(frozen)
    assert differing(frozen, program, made.batch.inputs)[1] == 0
    node = program["cells/1"]
    assert node.reset == reset
    assert node.rises == ("rise" not in settings)
    if settings is RISING:
        assert (node.alpha[:3] == 1 << node.alpha_frac).all()
        assert (node.alpha[3:] < 1 << node.alpha_frac).all()
        assert (program["readout"].decay == 1 << program["readout"].decay_frac).all()
    trace = frozen.trace(made.batch.padded())[1]
    rates = [float(trace[f"cells/{layer}"].double().mean()) for layer in range(2)]
    assert all(0.003 < rate < 0.7 for rate in rates), rates


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_the_same_at_other_widths(build_spiking, cell, widths):
    made = build_spiking({"cell": cell, "layers": 2}, widths=WIDTHS[widths])
    frozen = made.qat.freeze()
    assert differing(frozen, lowered(frozen), made.batch.inputs)[1] == 0


@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_any_weights_give_the_same_integers_or_are_refused(data):
    cell = data.draw(st.sampled_from(CELLS))
    network = AdLIFNetwork(AdLIFConfig(num_classes=2, in_features=3, hidden=4, cell=cell, q=1.0), torch.Generator())
    values = st.floats(-1, 1, width=32)
    with torch.no_grad():
        for parameter in network.parameters():
            drawn = data.draw(st.lists(values, min_size=parameter.numel(), max_size=parameter.numel()))
            parameter.copy_(torch.tensor(drawn).reshape(parameter.shape) * 2.0 ** data.draw(st.integers(-12, 6)))
        network.constrain()
    limits = {"synapses": (2, 16), "constant": (8, 16), "potential": (8, 32), "adaptation": (8, 32), "decoder": (2, 16)}
    widths = {name: data.draw(st.integers(*limit), label=name) for name, limit in limits.items()}
    qat = prepare(network, QuantizationConfig.from_mapping({"widths": widths})).eval()
    inputs = torch.tensor(data.draw(st.lists(st.lists(values, min_size=3, max_size=3), min_size=1, max_size=12)))
    calibrate(qat, [steps(inputs.unsqueeze(0))])
    try:
        frozen = qat.freeze()
    except PumiceError as error:
        if "limit is 52" not in str(error):
            raise
        return
    assert differing(frozen, lowered(frozen, 2), 3 * inputs.unsqueeze(0))[1] == 0


def test_an_adaptation_of_next_to_nothing(build_spiking):
    """Its exponent is that of what still matters, and no shift leaves its range."""
    made = build_spiking({"cell": "se-adlif", "q": 1e-17})
    frozen = made.qat.freeze()
    node = next(node for node in frozen.nodes() if node.name == "cells/0")
    assert node.adaptation.frac == node.potential.frac + 8
    assert differing(frozen, lowered(frozen), made.batch.inputs)[1] == 0


@pytest.mark.parametrize("seed", range(40))
def test_any_program_of_this_shape(seed):
    """Codes that no float model gives: saturation everywhere, thresholds below zero, constants of any size."""
    program = random_network(seed, value="dense", recurrent=True)
    values = [random_sample(program, 100 * seed + number, 20)[0] for number in range(2)]
    frozen = FrozenAdLIF(program.nodes, "mean")
    assert differing(frozen, program, torch.from_numpy(np.stack(values)))[1] == 0


def test_logits_are_the_aggregated_potentials(build_spiking):
    for aggregation in ("softmax", "mean"):
        made = build_spiking({"aggregation": aggregation})
        batch, frozen = made.batch, made.qat.freeze()
        logits = frozen(batch.inputs, batch.blocks, 3)
        potentials = frozen.trace(batch.padded())[0]
        values = potentials.softmax(-1) if aggregation == "softmax" else potentials
        for sample, block in itertools.product(range(3), range(3)):
            chosen = values[sample][batch.blocks[sample] == block]
            expected = chosen.sum(0) if aggregation == "softmax" else chosen.sum(0) / max(len(chosen), 1)
            assert torch.allclose(logits[sample, block], expected, atol=1e-12)
        assert logits.dtype == torch.float64
        assert [len(part) for part in batch.apply(frozen)] == [6, 6]


@pytest.mark.parametrize("cell", CELLS)
def test_fine_widths_give_the_spikes_of_the_float_model(build_spiking, cell):
    made = build_spiking({"cell": cell, "layers": 2}, double=True, lengths=(60, 60), widths=WIDTHS["states-32"])
    x = made.batch.inputs
    _, trace = made.qat.freeze().trace(steps(x))
    z = made.model.cells[0].sequence(x)[0]
    assert (trace["cells/0"] == z).double().mean() > 0.998
    assert (trace["cells/1"] == made.model.cells[1].sequence(z)[0]).double().mean() > 0.97


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["counts", "real"])
def test_fine_tuning_computes_what_is_frozen(build_spiking, cell, kind):
    made = build_spiking({"cell": cell, "layers": 2}, kind=kind, double=True)
    batch = made.batch
    assert torch.equal(made.qat(batch.inputs, batch.blocks, 3), made.qat.freeze()(batch.inputs, batch.blocks, 3))
    made = build_spiking({"cell": cell}, kind=kind)  # in float32 a spike may differ
    exact = made.qat.freeze()(batch.inputs, batch.blocks, 3)
    assert (made.qat(batch.inputs, batch.blocks, 3) - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("cell", CELLS)
def test_every_parameter_learns(build_spiking, cell):
    made = build_spiking({"cell": cell, "layers": 2, "dropout": 0.1, "aggregation": "mean"})
    logits, targets = made.batch.apply(made.qat.train())
    torch.nn.functional.cross_entropy(logits, targets).backward()
    for name, parameter in made.qat.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_the_float_model(build_spiking, cell):
    """With fine formats, as long as the spikes agree, the straight-through gradient tends to the true one."""
    settings = {"cell": cell, "aggregation": "mean", "tau_w": (20.0, 40.0), "q": 20.0}
    made = build_spiking(settings, double=True, lengths=(15, 9), widths=WIDTHS["states-32"], seed=3)
    x = made.batch.inputs
    assert torch.equal(made.qat.freeze().trace(steps(x))[1]["cells/0"].double(), made.model.cells[0].sequence(x)[0])
    for model in (made.qat, made.model):
        logits, targets = made.batch.apply(model)
        torch.nn.functional.cross_entropy(logits, targets).backward()
    ours = dict(made.qat.model.named_parameters())
    for name, parameter in made.model.named_parameters():
        assert (ours[name].grad - parameter.grad).norm() < 0.02 * parameter.grad.norm() + 1e-5, name


def test_dropout_acts_in_training_alone(build_spiking):
    made = build_spiking({"dropout": 0.5})
    batch = made.batch
    still = made.qat(batch.inputs, batch.blocks, 3)
    assert torch.equal(still, made.qat(batch.inputs, batch.blocks, 3))
    made.qat.train()
    assert not torch.equal(made.qat(batch.inputs, batch.blocks, 3), made.qat(batch.inputs, batch.blocks, 3))


def test_ranges_of_parameters_hold_in_fine_tuning(build_spiking):
    made = build_spiking()
    with torch.no_grad():
        made.qat.model.cells[0].a.fill_(3.0)
    made.qat.constrain()
    assert (made.qat.model.cells[0].a == 1).all()


def test_frozen_scales_stay(build_spiking):
    made = build_spiking()
    qat = made.qat.train()
    qat.freeze_scales()
    before = qat.freeze().state_dict()["cells/0:input_frac"]
    with torch.no_grad():
        qat.model.cells[0].input.weight.mul_(4.0)
    assert torch.equal(qat.freeze().state_dict()["cells/0:input_frac"], before)
    qat.scales_frozen.fill_(False)
    assert torch.equal(qat.freeze().state_dict()["cells/0:input_frac"], before - 2)


def test_scales_freeze_by_themselves(build_spiking):
    made = build_spiking()
    qat = made.qat.train()
    qat.freeze_scales_after = 2
    for expected in (False, False, True):
        made.batch.apply(qat)
        assert bool(qat.scales_frozen) is expected


def test_batches_of_evaluation_do_not_count(build_spiking):
    made = build_spiking()
    made.qat.freeze_scales_after = 1
    for training in (False, False, True, False):
        with torch.set_grad_enabled(training):
            made.batch.apply(made.qat.train(training))
        assert not made.qat.scales_frozen
    made.batch.apply(made.qat.eval())  # without dropout, but with gradients
    assert made.qat.scales_frozen


def test_frozen_model_survives_the_disk(build_spiking, tmp_path):
    made = build_spiking({"aggregation": "mean", "layers": 2})
    frozen, batch = made.qat.freeze(), made.batch
    save_frozen(tmp_path / "frozen.safetensors", frozen, {"note": "x"})
    loaded, info = load_frozen(tmp_path / "frozen.safetensors")
    assert isinstance(loaded, FrozenAdLIF)
    assert info == {"note": "x"}
    assert torch.equal(loaded(batch.inputs, batch.blocks, 3), frozen(batch.inputs, batch.blocks, 3))


def test_the_qat_model_is_a_copy(build_spiking):
    made = build_spiking()
    with torch.no_grad():
        made.qat.model.readout.linear.weight.zero_()
    assert made.model.readout.linear.weight.any()


def test_input_that_is_not_finite(build_spiking):
    made = build_spiking()
    inputs = made.batch.inputs.clone()
    inputs[0, 3, 1] = torch.nan
    with pytest.raises(PumiceError, match="NaN or infinity"):
        made.qat.freeze().trace(steps(inputs))
