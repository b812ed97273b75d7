"""What the float model says is kept by sample, and fine-tuning brings the integers nearer to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.adlif.blocks import aggregate
from pumice.quantize.distillation.judge import Judge
from pumice.quantize.distillation.losses import divergence, relative_error
from pumice.quantize.distillation.module import Distillation
from pumice.quantize.distillation.rows import RowWriter
from pumice.quantize.distillation.signals import WINDOW, fitted, windowed
from pumice.quantize.distillation.teacher import LOGITS, Powers, Teacher, teach_samples
from pumice.quantize.qat import fine_tune
from pumice.quantize.tuning import FamilyTuning, FineTuning
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.listed import ListedData
from pumice.train.data.plan import BatchKey
from pumice.train.data.sequences.batch import IGNORED, BlockBatch
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings

RECIPE = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=8, weight_decay=0.0, lr=0.01)


def taught(name, build, build_spiking, **quantization):
    """A calibrated model of coarse weights, and batches of its samples."""
    if name == "s5":
        made = build(widths={"gate": 3, "input": 4, **quantization}, seed=1)
        return made.qat, EventBatch.of(made.batch, torch.zeros(len(made.batch.lengths), 5))
    cell = {"adlif": "se-adlif", "loihi": "lif"}[name]
    extra = {"arithmetic": "loihi"} if name == "loihi" else {}
    made = build_spiking({"cell": cell, "layers": 2}, kind="counts", widths={"synapses": 3}, **extra)
    return made.qat, made.batch


def tuned(qat, batch, folder, tuning):
    logs = LoggingSettings(csv=False, tensorboard=False, progress=False)
    judge = Judge.of_batches("validation", [batch])
    data = ListedData([batch] * 12, [], 5)
    return fine_tune(
        qat, data, judge, folder, tuning, training=RECIPE, system=SystemSettings(), logs=logs, seed=0, info={}
    )


CASES = [
    ("s5", {}),
    pytest.param("s5", {"loss": "kl"}, marks=pytest.mark.thorough),
    pytest.param("adlif", {"output": "potentials"}, marks=pytest.mark.thorough),
    ("adlif", {"hidden": "spikes"}),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_logits_come_nearer(name, settings, build, build_spiking, tmp_path):
    qat, batch = taught(name, build, build_spiking)
    with torch.no_grad():
        floats, before = batch.apply(qat.model.eval())[0], batch.apply(qat.eval())[0]
    best = tuned(qat, batch, tmp_path, FamilyTuning(epochs=5, lr=0.1, **settings))
    with torch.no_grad():
        after = batch.apply(qat)[0]
    assert divergence(after, floats) < 0.9 * divergence(before, floats)
    assert best["kl"] == pytest.approx(float(divergence(after, floats)), rel=1e-4)
    assert bool(qat.scales_frozen)
    assert int(qat.batches_seen) == 12 * best["epoch"]


def test_rates_of_hidden_neurons_come_nearer(build, build_spiking, tmp_path):
    qat, batch = taught("loihi", build, build_spiking)
    teacher = Teacher(qat, FamilyTuning(hidden="rates"))
    names = teacher.nodes()
    said = teacher.teach(batch).taught

    def away():
        frozen = qat.freeze()
        _, trace = frozen.trace(batch.padded())
        rates = [windowed(trace[name].double(), batch.lengths, None) for name in names]
        return sum(float((rate - said[name]).square().mean()) for name, rate in zip(names, rates, strict=True))

    before = away()
    tuned(qat, batch, tmp_path, FamilyTuning(epochs=5, lr=1.0, loss="labels", hidden="rates", hidden_weight=100.0))
    assert names == ("cells/0", "cells/1")
    assert away() < 0.9 * before


def test_what_was_said_is_kept_by_sample(build_spiking, tmp_path):
    made = build_spiking({"layers": 2}, lengths=(60, 41, 7, 30))
    qat, batch = made.qat, made.batch
    whole = {
        "potentials": made.model.sequence(batch.inputs)[0].detach(),
        "spikes": made.model.cells[0].trace(batch.inputs).z.detach(),
    }

    def builder(key):
        rows = torch.tensor(key.samples)
        most = int(batch.lengths[rows].max())
        return BlockBatch(
            batch.inputs[rows, :most], batch.blocks[rows, :most], batch.targets[rows], batch.lengths[rows]
        )

    class Built:
        def __getitem__(self, key):
            return builder(key)

    teacher = Teacher(qat, FamilyTuning(output="potentials", hidden="spikes"))
    keys = [BatchKey(0, 0, (0, 1)), BatchKey(0, 1, (2, 3))]
    done = []
    samples, powers = teach_samples(teacher, Built(), keys, tmp_path, done.append)
    assert done == [2, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cells-0.f32", "cells-1.f32", "logits.f32", "readout.f32",
    ]  # fmt: skip
    found = samples[BatchKey(3, 0, (2, 0))]  # in another order, beside a longer one
    real = torch.arange(60) < batch.lengths[[2, 0], None]
    torch.testing.assert_close(found.taught["readout"], whole["potentials"][[2, 0]] * real[:, :, None])
    spikes = (whole["spikes"][[2, 0]] * real[:, :, None]).reshape(2, 6, WINDOW, 9).mean(2)
    torch.testing.assert_close(found.taught["cells/0"], spikes)
    outputs, expected, targets = found.answers(made.model)
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-6)
    assert len(outputs) == len(targets) == int((batch.targets[[2, 0]] != IGNORED).sum())
    logits = aggregate(whole["potentials"], batch.blocks, 3, made.model.config.aggregation)
    counted = logits[batch.targets != IGNORED]
    assert powers[LOGITS] == pytest.approx(float(counted.double().square().mean()), rel=1e-5)


def test_windows_and_rates():
    values = torch.arange(1.0, 26.0).reshape(1, 25, 1)
    found = windowed(values, torch.tensor([23]), WINDOW)
    assert found.flatten().tolist() == pytest.approx([5.5, 15.5, (21 + 22 + 23) / 10])
    assert windowed(values, torch.tensor([4]), None).item() == pytest.approx(2.5)
    assert windowed(values, torch.tensor([0]), None).item() == 0
    assert fitted(found, 2).flatten().tolist() == found.flatten().tolist()[:2]
    assert fitted(found, 5).flatten().tolist() == [*found.flatten().tolist(), 0, 0]


def test_losses():
    found, expected = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.5]]), torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 0.5]])
    assert float(relative_error(found, expected, 4.0)) == pytest.approx((1 + 0.25 + 1 + 1) / 6 / 4)
    total = 0.0
    for ours, theirs in zip(found.numpy() / 2.0, expected.numpy() / 2.0, strict=True):
        p, q = np.exp(theirs) / np.exp(theirs).sum(), np.exp(ours) / np.exp(ours).sum()
        total += float((p * np.log(p / q)).sum())
    assert float(divergence(found, expected, 2.0)) == pytest.approx(4 * total / 2, rel=1e-5)
    assert float(divergence(expected, expected)) == 0


def test_rows_without_a_row(tmp_path):
    writer = RowWriter(tmp_path / "rows", 3)
    writer.append(np.zeros((0, 3), np.float32))
    rows = writer.close()
    assert rows.of((0,)).shape == (1, 0, 3)
    with pytest.raises(PumiceError, match="cannot be written"):
        RowWriter(tmp_path / "none" / "rows", 3)


def test_powers_of_silence_are_one():
    powers = Powers()
    powers.add({"a": torch.zeros(2, 3), "b": torch.full((2, 1), 2.0)})
    powers.add({"b": torch.zeros(2, 1)})
    assert powers.means() == {"a": 1.0, "b": 2.0}


def test_the_loss_adds_what_is_asked_for(build_spiking):
    made = build_spiking({"layers": 2}, widths={"synapses": 3})
    found = {}
    for weight in (0.0, 2.0):
        teacher = Teacher(made.qat, FamilyTuning(hidden="rates", hidden_weight=weight))
        powers = Powers()
        batch = teacher.teach(made.batch, powers)
        module = Distillation(made.qat, 5, RECIPE, 1, 0, teacher=teacher, powers=powers.means())
        found[weight] = float(module.batch_loss(batch)[0].detach())
    _, trace = made.qat.freeze().trace(made.batch.padded())
    errors = []
    for name in ("cells/0", "cells/1"):
        ours = windowed(trace[name].double(), made.batch.lengths, None)
        theirs = batch.taught[name].double()
        errors.append(float((ours - theirs).square().mean() / theirs.square().mean()))
    assert found[2.0] - found[0.0] == pytest.approx(2 * sum(errors) / 2, rel=1e-3)
    assert found[0.0] > 0


@pytest.mark.parametrize(
    ("name", "settings", "part"),
    [
        ("s5", {"output": "potentials"}, "quantize.qat.output=potentials: this model and the float model share no"),
        ("loihi", {"output": "potentials"}, "quantize.qat.output=potentials"),
        ("s5", {"hidden": "rates"}, "quantize.qat.hidden=rates: this model has no hidden neurons"),
    ],
)
def test_what_a_model_does_not_have(name, settings, part, build, build_spiking, tmp_path):
    qat, batch = taught(name, build, build_spiking)
    with pytest.raises(PumiceError, match=part):
        tuned(qat, batch, tmp_path, FamilyTuning(**settings))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"loss": "l1"}, "quantize.qat.loss=l1 is unknown; use one of mse, kl, labels"),
        ({"hidden": "spike"}, "quantize.qat.hidden=spike is unknown; use one of none, rates, spikes"),
        ({"augmentation": True}, "augmentation=true: what the float model says"),
        ({"families": {"s5": {"augmentation": True, "loss": "mse"}}}, "augmentation=true"),
        ({"families": {"s5": {"rates": 1}}}, "quantize.qat.families.s5 has no setting 'rates'"),
        ({"temperature": 0}, "quantize.qat.temperature=0 has to be a number from"),
    ],
)
def test_settings_that_are_refused(settings, part):
    with pytest.raises(PumiceError, match=part):
        FineTuning(**settings)


@pytest.mark.parametrize("dropout", [False, True])
def test_dropout_acts_only_where_it_is_asked_for(build_spiking, dropout):
    qat = build_spiking().qat.train()
    module = Distillation(qat, 5, RECIPE, 1, 0, teacher=Teacher(qat, FamilyTuning(dropout=dropout)), powers={})
    module.on_train_start()
    assert qat.training == dropout
