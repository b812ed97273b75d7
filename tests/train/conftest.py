"""Small data sets in the true file formats."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

KEYS = [f"word {k}".encode() for k in range(20)]


def write_shd_file(path, counts, num_classes=20, seed=0, speakers=6):
    """Write a file in SHD's layout with the given numbers of events."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(counts),), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (len(counts),), h5py.vlen_dtype(np.uint16))
        for row, count in enumerate(counts):
            times[row] = np.sort(rng.uniform(0, 1, count)).astype(np.float16)
            units[row] = rng.integers(0, 700, count).astype(np.uint16)
        file["labels"] = (np.arange(len(counts)) % num_classes).astype(np.uint16)
        file["extra/speaker"] = (np.arange(len(counts)) % speakers).astype(np.uint16)
        keys = KEYS if num_classes == 20 else [f"word {k}".encode() for k in range(num_classes)]
        file["extra/keys"] = np.array(keys)
    return path


@pytest.fixture
def shd_file():
    return write_shd_file


@pytest.fixture
def shd_root(tmp_path):
    """A folder that tonic takes for a downloaded SHD."""
    rng = np.random.default_rng(1)
    for split, count in (("train", 60), ("test", 21)):
        write_shd_file(tmp_path / "SHD" / f"shd_{split}.h5", rng.integers(20, 400, count), seed=count)
        (tmp_path / "SHD" / f"shd_{split}.h5.zip").touch()
    return tmp_path


@pytest.fixture
def dvs_root(tmp_path):
    """A folder that tonic takes for a downloaded DVS-Gesture: 100 recordings a split."""
    rng = np.random.default_rng(2)
    for split in ("Train", "Test"):
        base = tmp_path / "DVSGesture" / f"ibmGesture{split}"
        base.with_name(f"{base.name}.tar.gz").parent.mkdir(parents=True, exist_ok=True)
        base.with_name(f"{base.name}.tar.gz").touch()
        for user in range(10):
            folder = base / f"user{user + 1:02d}_led"
            folder.mkdir(parents=True)
            for label in range(10):
                count = int(rng.integers(50, 300))
                columns = [rng.integers(0, 128, count), rng.integers(0, 128, count), rng.integers(0, 2, count)]
                recording = np.stack([*columns, np.sort(rng.integers(0, 6000, count))], axis=1)
                np.save(folder / f"{label}.npy", recording)
    return tmp_path
