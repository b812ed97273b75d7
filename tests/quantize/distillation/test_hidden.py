"""What hidden neurons of every spiking family are compared by, against plain loops over samples without padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.models.spikingssm.build import build_spikingssm
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.distillation.module import Distillation
from pumice.quantize.distillation.signals import WINDOW
from pumice.quantize.distillation.teacher import Powers, Teacher
from pumice.quantize.families import prepare
from pumice.quantize.qat import calibrate
from pumice.quantize.tuning import FamilyTuning
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.inputs import Inputs
from pumice.train.data.sequences.batch import BlockBatch
from pumice.train.settings import TrainingSettings

RECIPE = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=8, weight_decay=0.0, lr=0.01)
COARSE = {"gate": 3, "output": 3}


def spikings5(build):
    """Two layers of a window of 4 events each stage: the second stage's neurons make a step for 16 events."""
    made = build({"spiking": True, "norm": "batch", "layers_per_stage": 2}, widths=COARSE, lengths=(353, 170, 30, 3))
    return made.qat, EventBatch.of(made.batch, torch.eye(5)[:4])


def spikingssm(tokens=False):
    lengths = torch.tensor([40, 31, 7])
    generator = torch.Generator().manual_seed(3)
    settings = {"d_model": 6, "d_state": 6, "norm_placement": "pre", "dt_min": 0.01, "dt_max": 0.3}
    read = {"vocab": 9} if tokens else {"in_features": 2}
    model = build_spikingssm(settings, num_classes=3, seed=1, **read).eval()
    real = torch.arange(40) < lengths.unsqueeze(1)
    if tokens:
        values = torch.randint(9, (3, 40), generator=generator).masked_fill(~real, 0)
    else:
        values = torch.rand(3, 40, 2, generator=generator) * real.unsqueeze(2)
    with torch.no_grad():
        for block in model.blocks:
            block.layer.neuron.ln_vth.uniform_(-0.5, 0.5, generator=generator)
            block.norm.running_var.fill_(0.2)
    inputs = Inputs(values, None, lengths)
    qat = calibrate(prepare(model, QuantizationConfig.from_mapping({"widths": COARSE})), [inputs]).eval()
    targets = torch.tensor([[-1, 0], [-1, 1], [-1, 2]])
    return qat, BlockBatch(values, real.long(), targets, lengths)


def adlif(build_spiking):
    made = build_spiking({"layers": 2}, widths={"synapses": 3})
    return made.qat, made.batch


@pytest.fixture(params=["spikings5", "spikingssm", "spikingssm of tokens", "adlif"])
def calibrated(request, build, build_spiking):
    """A calibrated model of coarse weights, a batch, and the steps of the input for a value of each hidden node."""
    if request.param == "spikings5":
        every = {f"stages/{i}/layers/{j}/neurons": 4 ** (i + 1) for i in range(2) for j in range(2)}
        return *spikings5(build), every
    if request.param == "adlif":
        return *adlif(build_spiking), {"cells/0": 1, "cells/1": 1}
    return *spikingssm("tokens" in request.param), {f"blocks/{i}/neurons": 1 for i in range(2)}


def alone(qat, batch, row):
    """One sample as the float model's only one, without padding."""
    inputs, length = batch.padded(), int(batch.lengths[row])
    dt, pool_dt = (None if part is None else part[row : row + 1, :length] for part in (inputs.dt, inputs.pool_dt))
    return Inputs(inputs.values[row : row + 1, :length], dt, inputs.lengths[row : row + 1], pool_dt)


def by_hand(spikes, settings):
    """Means of spikes (n, H) over all rows, or in windows."""
    if settings == "rates":
        return spikes.mean(0, keepdims=True) if len(spikes) else np.zeros((1, spikes.shape[1]))
    starts = range(0, len(spikes), WINDOW)
    return np.array([spikes[start : start + WINDOW].sum(0) / WINDOW for start in starts]).reshape(-1, spikes.shape[1])


@pytest.mark.parametrize("hidden", ["rates", "spikes"])
def test_what_is_compared_is_that_of_samples_without_padding(calibrated, hidden):
    qat, batch, every = calibrated
    teacher = Teacher(qat, FamilyTuning(hidden=hidden))
    powers = Powers()
    taught = teacher.teach(batch, powers)
    assert teacher.nodes() == tuple(every)
    frozen, errors = qat.freeze(), []
    for name, steps in every.items():
        squares, power = 0.0, 0.0
        for row, length in enumerate(batch.lengths.tolist()):
            with torch.no_grad():
                sample = alone(qat, batch, row)
                floats = qat.float_signals(sample)[name][0].double().numpy()
                ours = frozen.trace(sample)[1][name][0].double().numpy()
            assert len(floats) == length // steps
            theirs = by_hand(floats, hidden)
            np.testing.assert_allclose(taught.taught[name][row, : len(theirs)], theirs, atol=1e-6)
            assert not taught.taught[name][row, len(theirs) :].any()
            squares += float(((by_hand(ours[: length // steps], hidden) - theirs) ** 2).sum())
            power += float((theirs**2).sum())
        assert power > 0
        errors.append(squares / power)
    found = {}
    for weight in (0.0, 2.0):
        tuning = FamilyTuning(hidden=hidden, hidden_weight=weight)
        module = Distillation(qat, 5, RECIPE, 1, 0, teacher=Teacher(qat, tuning), powers=powers.means())
        found[weight] = float(module.batch_loss(taught)[0].detach())
    assert found[2.0] - found[0.0] == pytest.approx(2 * np.mean(errors), rel=2e-3)
    assert np.mean(errors) > 1e-4


def test_the_error_reaches_the_weights_of_neurons(calibrated):
    qat, batch, every = calibrated
    gradients = {}
    for weight in (0.0, 1.0):
        teacher, powers = Teacher(qat, FamilyTuning(hidden="rates", hidden_weight=weight)), Powers()
        taught = teacher.teach(batch, powers)
        module = Distillation(qat, 5, RECIPE, 1, 0, teacher=teacher, powers=powers.means())
        qat.zero_grad()
        module.batch_loss(taught)[0].backward()
        gradients[weight] = {name: parameter.grad.clone() for name, parameter in qat.model.named_parameters()
                             if parameter.grad is not None}  # fmt: skip
    before, after = gradients.values()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    driving = ("neuron.ln_vth", "ssm.B", "ssm.C", "kernel.C", "kernel.D", "input.weight", "recurrent")
    wanted = {name for name in before if name.endswith(driving)}
    assert wanted - moved == set()
    assert len(wanted) >= 2 * len(every)
    assert not {name for name in moved if name.startswith(("decoder", "readout"))}
