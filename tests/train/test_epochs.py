"""A training by hand: the same recipe in numpy, written from its description, against `fit`."""

import math

import numpy as np
import pytest
import torch
from pumice.train.checkpoint import KeepProgress
from pumice.train.data.listed import ListedData
from pumice.train.fit import fit
from pumice.train.module import ClassifierModule
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings
from safetensors.numpy import load_file
from torch import nn

EPOCHS, SIZES, LIMIT = 3, (5, 2, 3), 0.2  # uneven batches; two optimizer steps an epoch, the second of one batch
RECIPE = {
    "epochs": EPOCHS,
    "warmup_epochs": 1.5,
    "batch_size": 4,
    "accumulate": 2,
    "ssm_base_lr": 0.01,
    "lr_factor": 3,
    "ssm_weight_decay": 0.2,
    "weight_decay": 0.4,
    "gradient_clip": 0.2,
    "ema_decay": 0.6,
    "label_smoothing": 0.15,
    "precision": "64-true",
}


class Scores(nn.Module):
    """logits = x W^T + B, with B in a range and a share of dropout."""

    def __init__(self, dropout=0.0):
        super().__init__()
        rng = np.random.default_rng(7)
        self.W, self.B = (nn.Parameter(torch.tensor(rng.normal(size=size) / 3)) for size in ((3, 4), (3,)))
        self.dropout, self.masks = nn.Dropout(dropout), []

    def forward(self, x):
        kept = self.dropout(torch.ones_like(x))
        if self.training:
            self.masks.append(tuple((kept > 0).flatten().tolist()))
        return (x * kept) @ self.W.T + self.B

    def constrain(self):
        with torch.no_grad():
            self.B.clamp_(-LIMIT, LIMIT)


class Given:
    """A batch of inputs and soft labels."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def to(self, device, non_blocking=False):
        return self

    def apply(self, model):
        return model(torch.tensor(self.x).to(model.W.dtype)), torch.tensor(self.y)


def batches(seed, sizes, soft):
    rng = np.random.default_rng(seed)
    for size in sizes:
        y = rng.dirichlet(np.ones(3), size) if soft else np.eye(3)[rng.integers(0, 3, size)]
        yield Given(rng.normal(size=(size, 4)), y)


@pytest.fixture
def trained(tmp_path):
    """Train on uneven batches: (keeper, model, training and validation batches)."""

    def train(name="run", seed=0, dropout=0.0, sizes=SIZES, dtype=torch.float64, **changes):
        model = Scores(dropout).to(dtype)
        given, judges = list(batches(1, sizes, True)), list(batches(2, (6, 1, 4), False))
        keeper = fit(
            model,
            ListedData(given, judges, 3),
            tmp_path / name,
            training=TrainingSettings(**(RECIPE | changes)),
            system=SystemSettings(accelerator="cpu"),
            logs=LoggingSettings(csv=False, tensorboard=False, progress=False),
            seed=seed,
            info={},
        )
        return keeper, model, given, judges

    return train


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def loss_and_gradients(w, b, batch, smoothing=0.15):
    """Mean soft cross entropy over the batch, and its gradients; all classes get a share of the target alike."""
    log_p = log_softmax(batch.x @ w.T + b)
    y = (1 - smoothing) * batch.y + smoothing / 3
    off = (np.exp(log_p) - y) / len(batch.x)
    return -(y * log_p).sum(axis=1).mean(), off.T @ batch.x, off.sum(axis=0)


def factor(step, warmup=3, total=6):
    """1.5 of 3 epochs of two steps rise, the others fall as a half cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) / 2


def by_hand(given, judges):
    """(weights, average, mean training loss, validation loss and accuracy) after each epoch, in plain numpy."""
    start = Scores()
    p = {name: tensor.detach().numpy().copy() for name, tensor in start.named_parameters()}
    m, v = ({name: np.zeros_like(value) for name, value in p.items()} for _ in range(2))
    rate = {"B": 0.01 * 4 * 2, "W": 0.01 * 4 * 2 * 3}
    decay = {"B": 0.2, "W": 0.4}
    average, step, found, clipped, held = None, 0, [], 0, 0
    for _ in range(EPOCHS):
        losses = []
        for group in ((0, 1), (2,)):
            gradient = {"W": 0.0, "B": 0.0}
            for number in group:
                loss, to_w, to_b = loss_and_gradients(p["W"], p["B"], given[number])
                losses += [loss] * len(given[number].x)
                gradient["W"], gradient["B"] = gradient["W"] + to_w / 2, gradient["B"] + to_b / 2
            norm = math.sqrt(sum((g**2).sum() for g in gradient.values()))
            clipped += norm > 0.2
            for name, g in gradient.items():
                g = g * min(1.0, 0.2 / (norm + 1e-6))
                lr = rate[name] * factor(step)
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g**2
                m_hat, v_hat = m[name] / (1 - 0.9 ** (step + 1)), v[name] / (1 - 0.999 ** (step + 1))
                p[name] = p[name] * (1 - lr * decay[name]) - lr * m_hat / (np.sqrt(v_hat) + 1e-8)
            held += (np.abs(p["B"]) > LIMIT).any()
            p["B"] = np.clip(p["B"], -LIMIT, LIMIT)
            step += 1
            new = {name: value.copy() for name, value in p.items()}
            average = new if average is None else {n: 0.6 * average[n] + 0.4 * new[n] for n in new}
        x, y = (np.concatenate([getattr(judge, name) for judge in judges]) for name in ("x", "y"))
        log_p = log_softmax(x @ average["W"].T + average["B"])
        accuracy = (log_p.argmax(1) == y.argmax(1)).mean()
        found.append((dict(p), average, np.mean(losses), -(y * log_p).sum(1).mean(), accuracy))
    assert clipped
    assert held, "the range of B has to be met for the test to see it"
    return found


def test_every_epoch_is_that_of_the_recipe(trained, monkeypatch):
    seen = []
    right = KeepProgress.on_train_epoch_end

    def look(self, trainer, module):
        state = {name: tensor.double().numpy().copy() for name, tensor in module.state_dict().items()}
        figures = {name: float(trainer.callback_metrics[f"validation/{name}"]) for name in ("loss", "accuracy")}
        seen.append((state, float(module.training_loss.compute()), figures, trainer.global_step))
        right(self, trainer, module)

    monkeypatch.setattr(KeepProgress, "on_train_epoch_end", look)
    keeper, _, given, judges = trained()
    expected = by_hand(given, judges)
    for (weights, average, loss, validation, accuracy), (state, printed, figures, _) in zip(
        expected, seen, strict=True
    ):
        for name in ("W", "B"):
            np.testing.assert_allclose(state[f"model.{name}"], weights[name], rtol=1e-9, err_msg=name)
            np.testing.assert_allclose(state[f"average.module.{name}"], average[name], rtol=1e-9, err_msg=name)
        assert printed == pytest.approx(loss, rel=1e-6)
        assert figures["loss"] == pytest.approx(validation, rel=1e-6)
        assert figures["accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert [steps for *_, steps in seen] == [2, 4, 6]
    order = [(accuracy, -loss) for *_, loss, accuracy in expected]
    best = max(range(EPOCHS), key=order.__getitem__)
    assert keeper.best["epoch"] == best + 1
    for name, value in load_file(keeper.best_path).items():
        np.testing.assert_allclose(value, expected[best][1][name], rtol=1e-9)


@pytest.mark.parametrize(
    ("change", "rate"),
    [
        ({"schedule": "constant"}, lambda step: min(1, (step + 1) / 3)),
        ({"schedule": "cosine", "warmup_epochs": 0}, lambda step: factor(step, 0, 6)),
        ({"accumulate": 1}, lambda step: factor(step, round(4.5), 9)),  # three steps an epoch
    ],
)
def test_learning_rates_of_every_step(trained, monkeypatch, change, rate):
    rates = []
    right = torch.optim.AdamW.step

    def look(self, closure=None):
        rates.append([group["lr"] for group in self.param_groups])
        return right(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", look)
    trained(**change)
    accumulate = change.get("accumulate", 2)
    expected = [[0.04 * accumulate * rate(step) * k for k in (1, 3)] for step in range(len(rates))]
    assert len(rates) == (6 if accumulate == 2 else 9)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_a_plateau_slows_after_epochs_without_a_lower_loss(trained, monkeypatch):
    """The rate of an epoch follows from the validation losses of those before it, counted by hand."""
    rates, losses = [], []
    right = KeepProgress.on_train_epoch_end

    def look(self, trainer, module):
        rates.append(trainer.optimizers[0].param_groups[0]["lr"])
        losses.append(float(trainer.callback_metrics["validation/loss"]))
        right(self, trainer, module)

    monkeypatch.setattr(KeepProgress, "on_train_epoch_end", look)
    change = {"lr": 0.8, "ssm_base_lr": None, "lr_factor": None, "gradient_clip": None, "ema_decay": None}
    plateau = {"schedule": "plateau", "warmup_epochs": 0, "plateau_factor": 0.3, "plateau_patience": 2}
    trained(epochs=12, **change, **plateau)
    rate, best, waited = 0.8, math.inf, 0
    expected = []
    for loss in losses:
        waited = 0 if loss < best * (1 - 1e-4) else waited + 1
        best = min(best, loss) if not waited else best
        if waited > 2:
            rate, waited = rate * 0.3, 0
        expected.append(rate)
    assert rates == pytest.approx(expected)
    assert rate < 0.8, "choose a rate at which the loss stands still"


def test_one_rate_and_decay_for_all_with_adam(trained):
    """Adam's weight decay is part of the gradient."""
    change = {"optimizer": "adam", "lr": 0.05, "ssm_base_lr": None, "lr_factor": None, "gradient_clip": None}
    _, model, given, _ = trained(epochs=1, warmup_epochs=0, accumulate=1, sizes=(5,), schedule="constant", **change)
    start = Scores()
    w, b = start.W.detach().numpy(), start.B.detach().numpy()
    _, to_w, _ = loss_and_gradients(w, b, given[0])
    g = to_w + 0.4 * w
    np.testing.assert_allclose(model.W.detach().numpy(), w - 0.05 * g / (np.abs(g) + 1e-8), rtol=1e-7)


def test_every_step_of_every_epoch_drops_other_inputs(trained):
    """Equal batches would otherwise meet equal masks in every epoch."""
    _, model, _, _ = trained("a", dropout=0.5)
    _, again, _, _ = trained("b", dropout=0.5)
    _, other, _, _ = trained("c", dropout=0.5, seed=1)
    assert len(model.masks) == EPOCHS * len(SIZES)
    shortest = 4 * min(SIZES)  # larger batches would differ by their length alone
    assert len({mask[:shortest] for mask in model.masks}) == len(model.masks)
    assert model.masks == again.masks
    assert not set(model.masks) & set(other.masks)


@pytest.mark.parametrize(
    ("told", "best"),
    [
        ([(0.5, 1.0), (0.7, 0.9), (0.7, 0.8), (0.6, 0.1)], 3),  # at equal accuracy the lower loss
        ([(0.7, 0.8), (0.7, 0.9), (0.2, 0.1)], 1),
        ([(0.7, 0.8), (0.7, 0.8)], 1),  # the earlier of two equal ones
        ([(None, 0.8), (None, 0.3), (None, 0.5)], 2),
    ],
)
def test_the_best_epoch_is_kept(tmp_path, told, best):
    keeper = KeepProgress(tmp_path, 1, {})
    module = ClassifierModule(Scores(), 3, TrainingSettings(**RECIPE), 3, 0)
    for epoch, (accuracy, loss) in enumerate(told):
        metrics = {"validation/loss": torch.tensor(loss)}
        metrics |= {} if accuracy is None else {"validation/accuracy": torch.tensor(accuracy)}
        state = {"callback_metrics": metrics, "current_epoch": epoch, "is_global_zero": True}
        trainer = type("Trainer", (), state)
        with torch.no_grad():
            module.average.module.W.fill_(epoch + 1)
        keeper.on_validation_end(trainer, module)
    assert keeper.best["epoch"] == best
    assert (load_file(keeper.best_path)["W"] == best).all()


def test_mixed_precision_takes_the_same_steps_roughly(trained):
    """bfloat16 has 8 bits: the weights end near those of float32, and not on them."""
    full, mixed = (
        trained(name, precision=name, dtype=torch.float32, gradient_clip=None)[1] for name in ("32-true", "bf16-mixed")
    )
    moved = (full.W - Scores().W).abs().max().item()
    off = (full.W - mixed.W).abs().max().item()
    assert mixed.W.dtype == torch.float32
    assert 0 < off < 0.1 * moved
