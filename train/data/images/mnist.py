"""Handwritten digits, 28 x 28 (LeCun et al. 1998)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from .idx import read_idx

SIDE = 28
CLASSES = tuple(str(digit) for digit in range(10))
PREFIXES = {"train": "train", "test": "t10k"}
FOLDERS = ("", "MNIST/raw", "mnist")


def open_mnist(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 784) and labels (N,) from the four published files, packed or not, in ``root`` or torchvision's place.

    Raises:
        PumiceError: a file is missing, damaged or does not fit the other.
    """
    images_path = _find(root, f"{PREFIXES[split]}-images-idx3-ubyte")
    labels_path = _find(root, f"{PREFIXES[split]}-labels-idx1-ubyte")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if images.shape[1:] != (SIDE, SIDE) or len(images) != len(labels) or not len(labels):
        raise PumiceError(
            f"{images_path} holds images {images.shape} and {labels_path} {len(labels)} labels; MNIST has as many "
            f"labels as images of {SIDE} x {SIDE}: correct them, or fetch both anew if they were downloaded"
        )
    if labels.max() >= len(CLASSES):
        raise PumiceError(f"{labels_path} holds the label {labels.max()}, the classes are 0 to 9; {CORRECT_OR_FETCH}")
    return images.reshape(len(images), -1), labels.astype(np.int64)


def _find(root: Path, name: str) -> Path:
    candidates = [root / folder / f"{name}{ending}" for folder in FOLDERS for ending in (".gz", "")]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise PumiceError(
            f"{root / name}.gz does not exist; set task.root to the folder with MNIST's four files (train-images, "
            "train-labels, t10k-images, t10k-labels) as they are published"
        )
    return found
