"""CIFAR-10 (Krizhevsky 2009) in grey: the published Python or binary files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from .inert_pickle import read_inert_pickle

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 32 * 32
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
LAYOUTS = {"cifar-10-batches-py": "", "cifar-10-batches-bin": ".bin"}
MOST_IMAGES = 10_000
"""Of a file."""
LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in 1 / 65536 (ITU-R 601), as Pillow has them."""


def open_cifar10(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey images (N, 1024) and labels (N,) from the folder cifar-10-batches-py or cifar-10-batches-bin.

    Raises:
        PumiceError: a file is missing or damaged, or holds something else.
    """
    layout, folder = _find(root, BATCHES[split][0])
    parts = [_read(folder / f"{name}{LAYOUTS[layout]}") for name in BATCHES[split]]
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    return grey(images), labels


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (N, 1024) of images (N, 3072), all red values first, as Pillow rounds it."""
    red, green, blue = np.split(images.astype(np.int32), 3, axis=1)
    return ((LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + (1 << 15)) >> 16).astype(np.uint8)


def _find(root: Path, first: str) -> tuple[str, Path]:
    for layout, ending in LAYOUTS.items():
        for folder in (root / layout, root):
            if (folder / f"{first}{ending}").is_file():
                return layout, folder
    raise PumiceError(
        f"{root / 'cifar-10-batches-py' / first} does not exist; set task.root to the folder that holds "
        "cifar-10-batches-py or cifar-10-batches-bin, unpacked from the published archive"
    )


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        images, labels = _from_records(path) if path.suffix == ".bin" else _from_pickle(path)
    except (OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as images of CIFAR-10 ({error}); {CORRECT_OR_FETCH}") from error
    if not len(labels) or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise PumiceError(f"{path} holds no labels, or others than 0 to {len(CLASSES) - 1}; {CORRECT_OR_FETCH}")
    return images, labels


def _from_records(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A byte of label and 3,072 of pixels each."""
    record = 1 + 3 * PIXELS
    size = path.stat().st_size
    if size % record or size > record * MOST_IMAGES:
        raise ValueError(f"{size:,} bytes are not up to {MOST_IMAGES:,} records of {record:,}")
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, record)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _from_pickle(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """A dictionary with ``data``, uint8 (N, 3072), and ``labels``, a list."""
    content: Any = read_inert_pickle(path)
    values = (
        {str(key, "latin-1") if isinstance(key, bytes) else key: value for key, value in content.items()}
        if isinstance(content, dict)
        else {}
    )
    images, labels = values.get("data"), values.get("labels")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 2:
        raise ValueError("it has no array data of unsigned bytes")
    if images.shape[1] != 3 * PIXELS or not isinstance(labels, list) or len(labels) != len(images):
        raise ValueError(f"data of shape {images.shape} and labels do not fit")
    if not all(type(label) is int for label in labels):
        raise ValueError("its labels are not whole numbers")
    return images, np.array(labels, dtype=np.int64)
