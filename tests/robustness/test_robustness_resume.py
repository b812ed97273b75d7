"""A training that is killed again and again ends with the bits of one that was left alone."""

import random
import time

import pytest
import torch
from pumice.cli.main import main

HARD = [  # everything that has a state of its own
    "training.epochs=4",
    "training.accumulate=2",
    "training.ema_decay=0.9",
    "training.checkpoint_every_steps=1",
    "training.bucket_batches=2",
    "model.norm=batch",
    "model.dropout=0.2",
]


def killed_after_checkpoints(run, checkpoint, count, delay):
    """Wait until ``checkpoint`` has been replaced ``count`` times, then kill -9; False if training ended before."""
    seen = None
    while run.process.is_alive():
        current = checkpoint.stat().st_ino if checkpoint.exists() else None
        if current is not None and current != seen:
            count, seen = count - 1, current
        if count < 0:
            time.sleep(delay)
            run.process.kill()
            run.process.join()
            return True
        time.sleep(0.0005)
    return False


def assert_same_training(first, second):
    assert (first / "weights.safetensors").read_bytes() == (second / "weights.safetensors").read_bytes()
    one, two = (torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (first, second))
    assert one["global_step"] == two["global_step"] == 20
    assert one["callbacks"] == two["callbacks"]
    for name, tensor in one["state_dict"].items():
        assert torch.equal(tensor, two["state_dict"][name]), name
    for index, state in one["optimizer_states"][0]["state"].items():
        for name, tensor in state.items():
            assert torch.equal(tensor, two["optimizer_states"][0]["state"][index][name]), (index, name)


def run_with_kills(start, overrides, run_dir, kills, seed):
    rng = random.Random(seed)
    done = 0
    for _ in range(3 * kills + 1):
        run = start("train", *overrides, f"run_dir={run_dir}")
        last = run_dir / "checkpoints/last.ckpt"
        if done < kills and killed_after_checkpoints(run, last, rng.randrange(1, 6), rng.uniform(0, 0.05)):
            done += 1
            continue
        code, output = run.ended()
        assert code == 0, output
        return done
    raise AssertionError("training never ended")


def check(start, small_run, tmp_path, kills, seed):
    overrides = [*small_run, *HARD]
    with pytest.raises(SystemExit) as ended:
        main(["train", *overrides, f"run_dir={tmp_path / 'whole'}"])
    assert ended.value.code == 0
    assert run_with_kills(start, overrides, tmp_path / "killed", kills, seed) == kills
    assert_same_training(tmp_path / "whole", tmp_path / "killed")


def test_killed_training_ends_with_the_same_weights(start, small_run, tmp_path):
    check(start, small_run, tmp_path, kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_often_killed_training_ends_with_the_same_weights(start, small_run, tmp_path, seed):
    check(start, small_run, tmp_path, kills=4, seed=seed)  # a fifth may come after the end
