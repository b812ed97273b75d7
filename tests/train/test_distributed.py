"""Processes that share the batches of a training: the same curve, the same checkpoints, the same sentences."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.train.data.plan import TrainingPlan
from pumice.train.distributed import mistake_of, started_rank
from pumice.train.settings import SystemSettings
from pumice.train.weights import read_weights
from torch.multiprocessing import ProcessRaisedException

SMALL = [
    "task=bsd",
    "task.samples=100",
    "model=adlif/bsd",
    "model.hidden=8",
    "training=adlif-bsd",
    "training.epochs=3",
    "training.lr=0.05",
    "training.batch_size=8",
    "training.eval_batch_size=2",
    "training.checkpoint_every_steps=2",
    "logging.every_steps=1",
    "logging.tensorboard=false",
    "system.threads=2",
    "system.accelerator=cpu",
]


def train(folder, *more):
    with pytest.raises(SystemExit) as ended:
        main(["train", f"run_dir={folder}", *SMALL, *more])
    return ended.value.code


def curve(folder, column):
    with (folder / "logs" / "csv" / "version_0" / "metrics.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert train(folder) == 0
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared") / "run"
    assert train(folder, "system.devices=2") == 0
    return folder


def test_shares_make_up_the_batches():
    def batches(*share):
        plan = TrainingPlan(np.arange(20), 6, seed=0, bucket_batches=2)
        if share:
            plan.share(*share)
        return [key.samples for key in plan]

    whole, parts = batches(), [batches(rank, 3) for rank in range(3)]
    assert [len(part) for share in parts for part in share] == [2] * 9
    assert [sorted(sum(pieces, ())) for pieces in zip(*parts, strict=True)] == [sorted(batch) for batch in whole]
    with pytest.raises(PumiceError, match="a batch of 6 cannot be shared by 4 processes"):
        batches(0, 4)


@pytest.mark.thorough
def test_two_processes_train_as_one(alone, shared):
    for column in ("train/loss", "validation/loss"):
        np.testing.assert_allclose(curve(shared, column), curve(alone, column), rtol=2e-4, atol=1e-5)
    assert curve(shared, "validation/accuracy") == curve(alone, "validation/accuracy")
    one, two = (json.loads((folder / "metrics.json").read_text())["train"] for folder in (alone, shared))
    assert two["best"]["epoch"] == one["best"]["epoch"]
    for name, value in read_weights(alone / "weights.safetensors").tensors.items():
        torch.testing.assert_close(read_weights(shared / "weights.safetensors").tensors[name], value, rtol=0, atol=2e-3)


def test_a_mistake_is_found_in_the_traceback_of_a_process():
    lines = [
        "Traceback (most recent call last):",
        "  ...",
        "pumice.errors.PumiceError: the loss is nan; lower the rate",
        "",
    ]
    found = mistake_of(ProcessRaisedException("\n".join(lines), 0, 1))
    assert str(found) == "the loss is nan; lower the rate"
    assert mistake_of(ProcessRaisedException("ValueError: other", 0, 1)) is None
    assert mistake_of(ValueError("pumice.errors.PumiceError: no process")) is None


@pytest.mark.slow
def test_a_mistake_in_a_process_is_a_sentence(tmp_path, capsys):
    assert train(tmp_path / "run", "system.devices=2", "training.lr=3e37") == 2
    said = capsys.readouterr().err
    assert re.search(r"^pumice: the training loss is \S+ in epoch 1, batch \d+; lower training.lr", said, re.MULTILINE)
    assert "Traceback" not in said


def test_what_cannot_be_shared(monkeypatch, capsys, tmp_path):
    assert train(tmp_path / "run", "system.devices=3") == 2
    assert "training.batch_size=8 is no multiple of the 3 processes" in capsys.readouterr().err
    assert train(tmp_path / "run", "system.nodes=2") == 2
    assert "system.nodes=2: processes on other nodes are started by srun or torchrun" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert started_rank(SystemSettings(nodes=2)) is None
    for name, value in {"RANK": "1", "GROUP_RANK": "1", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    assert started_rank(SystemSettings(nodes=2)) == 1
    assert started_rank(SystemSettings()) is None


def command(folder, *more):
    return [sys.executable, "-m", "pumice", "train", f"run_dir={folder}", *SMALL, *more]


@pytest.mark.slow
def test_killed_processes_go_on(shared, tmp_path):
    """By a signal that nothing can catch, between two epochs or in one; bit for bit."""
    folder = tmp_path / "run"
    with subprocess.Popen(command(folder, "system.devices=2"), start_new_session=True) as running:
        while not (folder / "checkpoints" / "last.ckpt").exists():
            assert running.poll() is None
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
    assert not (folder / "weights.safetensors").exists()
    assert train(folder, "system.devices=2") == 0
    assert (folder / "weights.safetensors").read_bytes() == (shared / "weights.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("starter", ["srun", "torchrun"])
def test_processes_started_from_outside(shared, tmp_path, starter):
    """One process leads and writes; what comes out is what processes that are started here give."""
    folder = tmp_path / "run"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    if starter == "torchrun":
        launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
        subprocess.run([*launcher, *command(folder, "system.devices=2")[1:]], check=True)
    else:
        common = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "job", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1"}
        common |= {"SLURM_NODELIST": "localhost", "SLURM_NNODES": "2", "SLURM_LOCALID": "0", "MASTER_PORT": port}
        running = [
            subprocess.Popen(
                command(folder, "system.nodes=2", "system.threads=1"),
                env={**os.environ, **common, "SLURM_PROCID": str(rank), "SLURM_NODEID": str(rank)},
            )
            for rank in range(2)
        ]
        assert [process.wait(300) for process in running] == [0, 0]
    assert (folder / "metrics.json").exists()
    assert (folder / "weights.safetensors").read_bytes() == (shared / "weights.safetensors").read_bytes()
