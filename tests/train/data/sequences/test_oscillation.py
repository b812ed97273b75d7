"""Oscillation: physics, prediction of series, and training with a falling learning rate."""

import json

import numpy as np
import pytest
import torch
from pumice.cli.main import main
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task
from pumice.train.data.sequences.oscillation import generate_oscillation, positions
from scipy.integrate import solve_ivp


def test_positions_solve_the_equations_of_motion():
    rng = np.random.default_rng(0)
    springs, start = rng.integers(500, 10_001, (3, 5)), rng.standard_normal((3, 4))
    times = np.arange(202) / 402
    found = positions(springs, start, times)
    for row in range(3):

        def motion(_, state, k=springs[row]):
            x = np.concatenate([[0], state[:4], [0]])  # walls
            forces = [k[i + 1] * (x[i + 2] - x[i + 1]) - k[i] * (x[i + 1] - x[i]) for i in range(4)]
            return np.concatenate([state[4:], forces])

        solved = solve_ivp(
            motion, (0, times[-1]), np.concatenate([start[row], np.zeros(4)]), t_eval=times, rtol=1e-9, atol=1e-9
        )
        np.testing.assert_allclose(found[row], solved.y[:4].T, atol=1e-5)


def test_samples():
    own, shared = generate_oscillation(50, 1, False), generate_oscillation(50, 1, True)
    assert own.shape == (50, 202, 4)
    assert 0.7 < own[:, 0].std() < 1.3
    for series, low, high in ((shared, 0, 1e-4), (own, 0.1, np.inf)):
        # With equal springs the map from starts to positions at any later moment is one linear map.
        fitted = series[:, 0] @ np.linalg.lstsq(series[:, 0], series[:, 77], rcond=None)[0]
        assert low <= np.abs(fitted - series[:, 77]).max() < high


def test_batches():
    task = sequence_task({"kind": "oscillation", "name": "oscillation", "samples": 100})
    data = SequenceDataModule(task, batch_size=8)
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [80, 10, 10]
    batch = next(iter(data.batches("test")))
    assert batch.inputs.shape == (10, 201, 4)
    assert np.array_equal(batch.inputs[:, 1:], batch.targets[:, :-1])
    assert batch.free_from == 101
    assert data.regression


@pytest.fixture
def train(tmp_path):
    def call(name, epochs):
        overrides = ["task=oscillation", "task.samples=60", "model=adlif/oscillation-lstm", "model.hidden=8"]
        overrides += ["training=adlif-oscillation-lstm", "training.batch_size=24", f"training.epochs={epochs}"]
        overrides += ["training.lr=1.0", "training.plateau_patience=1", "logging.tensorboard=false"]
        overrides += ["system.threads=1", "logging.progress=false", f"run_dir={tmp_path / name}"]
        with pytest.raises(SystemExit) as ended:
            main(["train", *overrides])
        assert ended.value.code == 0
        return tmp_path / name

    return call


def test_training_on_a_plateau(train, capsys):
    folder = train("run", 8)
    with pytest.raises(SystemExit):
        main(["evaluate", f"run_dir={folder}"])
    metrics = json.loads((folder / "metrics.json").read_text())
    figures = metrics["evaluate"]["test"]
    assert metrics["train"]["best"]["loss"] == pytest.approx(metrics["evaluate"]["validation"]["loss"], rel=1e-4)
    with np.load(folder / "predictions.npz") as arrays:
        squared = (arrays["test_outputs"].astype(np.float64) - arrays["test_targets"]) ** 2
        variance = arrays["test_targets"].astype(np.float64).var(axis=(0, 1)).mean()
    assert figures["loss"] == pytest.approx(squared.mean())
    assert figures["loss_second_half"] == pytest.approx(squared[:, 100:].mean())
    assert figures["loss_of_mean"] == pytest.approx(variance)
    assert figures["loss"] < 3 * variance
    # The learning rate fell as often as the validation losses say.
    rows = (folder / "logs/csv/version_0/metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("validation/loss")
    losses = [float(value) for row in rows[1:] if (value := row.split(",")[column])]
    rate, best, bad = 1.0, np.inf, 0
    for loss in losses:
        best, bad = (loss, 0) if loss < best * (1 - 1e-4) else (best, bad + 1)
        if bad > 1:
            rate, bad = rate * 0.4, 0
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(rate)
    assert rate < 1
