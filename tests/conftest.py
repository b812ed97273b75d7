"""A small data set that can be learned, and the settings of a run on it that takes seconds."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it, before anything loads torch

import h5py
import numpy as np
import pytest
from scipy.io import savemat

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell, and their children, ignore it

CLASSES = 20
EVENTS = 60


def write_small_set(path, count, seed):
    """A file in SHD's layout: the events of class k lie around channel 35 k."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for row, label in enumerate(labels):
            size = int(rng.integers(EVENTS // 2, EVENTS))
            times[row] = np.sort(rng.uniform(0, 0.2, size)).astype(np.float16)
            units[row] = np.clip(rng.normal(35 * label + 17, 4, size), 0, 699).astype(np.uint16)
        file["labels"] = labels.astype(np.uint16)
        file["extra/speaker"] = (np.arange(count) // CLASSES).astype(np.uint16)
        file["extra/keys"] = np.array([f"word {label}".encode() for label in range(CLASSES)])


@pytest.fixture(scope="session")
def small_set(tmp_path_factory):
    """Folder with train.h5 (100 utterances of 5 speakers) and test.h5 (40)."""
    root = tmp_path_factory.mktemp("small-set")
    write_small_set(root / "train.h5", 100, seed=0)
    write_small_set(root / "test.h5", 40, seed=1)
    return root


@pytest.fixture(scope="session")
def small_run(small_set):
    """Overrides of a quick run on ``small_set``."""
    return [
        f"task.root={small_set}",
        "task.pad_unit=16",
        "task.validation.fraction=0.2",
        "model.d_model=8",
        "model.d_ssm=8",
        "model.stride=4",
        "model.dropout=0.1",
        "training.epochs=2",
        "training.warmup_epochs=0.5",
        "training.batch_size=8",
        "training.ssm_base_lr=1e-3",
        "logging.tensorboard=false",
        "system.threads=1",
        "simulate.backends=[reference,twin,run,step]",  # Lava has its own tests
    ]


ECG_STEPS = 40


def write_small_ecg(path, count, seed=0, unlabelled=0.1, **changes):
    """x (count, 40, 4) int16 in {-1, 0, 1}; y (count, 40, 6) uint8 one-hot, some rows zero; the class is in x."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(0, 6, (count, ECG_STEPS // 10)), 10, axis=1)
    x = np.zeros((count, ECG_STEPS, 4), np.int16)
    for bit in range(3):
        x[..., bit] = np.where(labels >> bit & 1, 1, -1)
    y = np.eye(6, dtype=np.uint8)[labels]
    y[rng.random((count, ECG_STEPS)) < unlabelled] = 0
    t = np.tile(np.arange(ECG_STEPS, dtype=np.uint16), (count, 1))
    savemat(path, {"x": x, "y": y, "t": t, "max_i": np.full((count, 1), ECG_STEPS, np.uint16)} | changes)
    return x, y


@pytest.fixture(scope="session")
def write_ecg():
    """`write_small_ecg`."""
    return write_small_ecg


@pytest.fixture(scope="session")
def small_ecg_run(tmp_path_factory):
    """Overrides of a quick run of an adaptive LIF network on ECG files in their true format."""
    root = tmp_path_factory.mktemp("small-ecg")
    write_small_ecg(root / "QTDB_train.mat", 60, seed=1)
    write_small_ecg(root / "QTDB_test.mat", 20, seed=2)
    return [
        "task=ecg",
        f"task.root={root}",
        "task.validation.fraction=0.2",
        "model=adlif/ecg",
        "model.hidden=8",
        "training=adlif-ecg",
        "training.epochs=3",
        "training.batch_size=8",
        "logging.tensorboard=false",
        "logging.progress=false",
        "system.threads=1",
        "count.samples=3",
    ]
