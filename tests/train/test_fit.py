import csv
import json
import re

import pytest
import torch
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.models.s5.build import build_s5
from pumice.train.checkpoint import KeepProgress
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.task import task_config
from pumice.train.fit import fit
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings
from pumice.train.weights import load_weights
from safetensors.torch import load_file

RECIPE = {
    "epochs": 3,
    "warmup_epochs": 1,
    "batch_size": 8,
    "ssm_base_lr": 1e-3,
    "lr_factor": 5,
    "weight_decay": 0.01,
}


@pytest.fixture
def run(small_set, tmp_path):
    """Train on the small set: (keeper, model, data)."""

    def train(name="run", logs=None, dropout=0.0, cut_mix=0.0, **recipe):
        torch.set_num_threads(1)
        settings = TrainingSettings(**(RECIPE | recipe))
        task = {
            "name": "small",
            "source": "spoken-digits",
            "root": str(small_set),
            "num_classes": 20,
            "sensor": [700],
            "pad_unit": 16,
            "validation": {"by": "speaker", "fraction": 0.2},
            "cut_mix": cut_mix,
        }
        data = EventDataModule(task_config(task), batch_size=settings.batch_size, eval_batch_size=40)
        shape = {"d_model": 8, "d_ssm": 8, "stride": 4, "dropout": dropout}
        model = build_s5(shape, num_classes=20, vocab=700, seed=0)
        keeper = fit(
            model,
            data,
            tmp_path / name,
            training=settings,
            system=SystemSettings(accelerator="cpu"),
            logs=logs or LoggingSettings(csv=False, tensorboard=False, progress=False),
            seed=0,
            info={"task": "small"},
        )
        return keeper, model, data

    return train


def accuracy_and_loss(model, data):
    model.eval()
    right, losses = 0, []
    with torch.no_grad():
        for batch in data.batches("validation"):
            logits = model(batch.tokens, batch.dt, batch.lengths, batch.pool_dt).double()
            labels = batch.targets.argmax(1)
            right += int((logits.argmax(1) == labels).sum())
            losses += (logits.logsumexp(1) - logits[torch.arange(len(labels)), labels]).tolist()
    return right / len(losses), sum(losses) / len(losses)


def test_learns_and_keeps_the_best_epoch(run):
    keeper, model, data = run(epochs=8)
    assert keeper.best["accuracy"] > 0.5  # chance is 0.05
    info = load_weights(keeper.best_path, model)
    assert info["best"] == keeper.best
    accuracy, loss = accuracy_and_loss(model, data)
    assert accuracy == pytest.approx(keeper.best["accuracy"])
    assert loss == pytest.approx(keeper.best["loss"], rel=1e-5)


def test_accumulation_equals_a_larger_batch(run):
    # The learning rate is base x batch x accumulation, so both take the same steps.
    _, small, _ = run("a", batch_size=8, accumulate=2, epochs=1, warmup_epochs=0)
    _, large, _ = run("b", batch_size=16, accumulate=1, epochs=1, warmup_epochs=0)
    for (name, one), two in zip(small.named_parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=2e-3, atol=2e-4, msg=name)


def test_average_follows_its_equation(run, monkeypatch):
    decay, states = 0.75, []
    at_epoch_end = KeepProgress.on_train_epoch_end

    def keep_state(self, trainer, pl_module):
        states.append({name: tensor.clone() for name, tensor in pl_module.state_dict().items()})
        at_epoch_end(self, trainer, pl_module)

    monkeypatch.setattr(KeepProgress, "on_train_epoch_end", keep_state)
    keeper, model, _ = run(epochs=4, batch_size=80, ema_decay=decay)  # one step an epoch
    names = [name for name, _ in model.named_parameters()]
    expected = {name: states[0][f"model.{name}"].double() for name in names}
    for state in states[1:]:
        for name in names:
            expected[name] = decay * expected[name] + (1 - decay) * state[f"model.{name}"].double()
    for name in names:
        average = states[-1][f"average.module.{name}"]
        torch.testing.assert_close(average.double(), expected[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(average, states[-1][f"model.{name}"])
    kept = load_file(keeper.best_path)  # what is validated and kept is the average
    best = states[keeper.best["epoch"] - 1]
    assert all(torch.equal(kept[name], best[f"average.module.{name}"]) for name in names)


def test_logs(run, tmp_path):
    run("logged", logs=LoggingSettings(every_steps=2, progress=True), epochs=1)
    rows = (tmp_path / "logged/logs/csv/version_0/metrics.csv").read_text().splitlines()
    assert {"train/loss", "validation/loss", "validation/accuracy"} <= set(rows[0].split(","))
    assert len(rows) > 3
    assert list((tmp_path / "logged/logs/tensorboard").glob("events.out.tfevents.*"))


def test_dropout_and_mixing_are_seeded(run):
    first, second = (run(name, dropout=0.3, cut_mix=0.5, epochs=1)[0] for name in ("a", "b"))
    assert first.best_path.read_bytes() == second.best_path.read_bytes()
    assert json.dumps(first.best) == json.dumps(second.best)


def test_divergence_is_said_in_a_sentence(run):
    with pytest.raises(PumiceError, match=r"lower training\.ssm_base_lr"):
        run(ssm_base_lr=1e30, epochs=2)


def test_the_training_loss_that_is_printed_is_the_mean_of_the_epoch(run, tmp_path, capsys):
    run("printed", logs=LoggingSettings(every_steps=1, tensorboard=False, progress=True), epochs=2)
    with (tmp_path / "printed/logs/csv/version_0/metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    epochs = {epoch: [float(row["train/loss"]) for row in rows if row["epoch"] == str(epoch)] for epoch in (0, 1)}
    printed = re.findall(r"training loss (\d+\.\d+)", capsys.readouterr().out)
    for losses, shown in zip(epochs.values(), printed, strict=True):
        assert len(losses) > 3
        assert float(shown) == pytest.approx(sum(losses) / len(losses), abs=6e-4)
        assert float(shown) != pytest.approx(losses[-1], abs=6e-4)


def test_a_logger_that_is_not_installed_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pumice.train.fit.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        main(["train", "logging=wandb", f"run_dir={tmp_path / 'run'}"])
    assert ended.value.code == 2
    assert "logging.wandb=offline needs wandb, which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
