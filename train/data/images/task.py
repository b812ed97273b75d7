"""Images read pixel by pixel: sequential MNIST, the permuted one, and grey CIFAR-10."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..sequences.batch import BlockBatch, whole_sequences
from ..sequences.sets import SequenceSet, Streams
from ..sequences.task import SequenceTask
from . import cifar, mnist

ORDERS = ("rows", "bit-reversal")


def bit_reversal(length: int) -> NDArray[np.int64]:
    """The numbers below ``length`` by their bits read backwards, of as many bits as the largest needs."""
    bits = max(1, (length - 1).bit_length())
    numbers = np.arange(1 << bits)
    backwards = sum(((numbers >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    order = np.argsort(backwards)
    return order[order < length]


class PixelSet(SequenceSet):
    """Images as sequences of one value a step, (pixel - shift) / scale, one label an image.

    Args:
        name: for messages.
        class_names: of the classes.
        pixels: uint8 (N, T).
        labels: int64 (N,).
        shift, scale: see above.
    """

    in_features = 1

    def __init__(
        self,
        name: str,
        class_names: tuple[str, ...],
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        shift: float,
        scale: float,
    ) -> None:
        self.name, self.class_names = name, class_names
        self.pixels, self.labels, self.shift, self.scale = pixels, labels, shift, scale
        self.lengths = np.full(len(pixels), pixels.shape[1], dtype=np.int64)

    def subset(self, chosen: NDArray[np.int64]) -> PixelSet:
        """See `SequenceSet.subset`."""
        return PixelSet(self.name, self.class_names, self.pixels[chosen], self.labels[chosen], self.shift, self.scale)

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        rows = list(samples)
        values = (self.pixels[rows, :, None].astype(np.float32) - np.float32(self.shift)) / np.float32(self.scale)
        return whole_sequences(torch.from_numpy(values), self.labels[rows], self.lengths[rows])


@dataclass(frozen=True, kw_only=True)
class PixelTask(SequenceTask):
    """Images pixel by pixel.

    root: folder of the published files.
    order: of the pixels, ``rows``, or ``bit-reversal`` (a fixed permutation, see `bit_reversal`).
    """

    pixels: ClassVar[int]
    classes: ClassVar[tuple[str, ...]]
    shift: ClassVar[float]
    scale: ClassVar[float]
    root: str | None = None
    order: str = "rows"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise PumiceError(f"task.order={self.order} is unknown; choose one of {', '.join(ORDERS)}")

    outputs = property(lambda self: len(self.classes))
    in_features = property(lambda self: 1)

    @abstractmethod
    def read(self, root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Pixels (N, T) and labels (N,) of ``train`` or ``test``."""

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        pixels, labels = self.read(self.folder(self.root), split)
        if self.order == "bit-reversal":
            pixels = pixels[:, bit_reversal(self.pixels)]
        return PixelSet(self.name, self.classes, pixels, labels, self.shift, self.scale)


@dataclass(frozen=True, kw_only=True)
class MnistTask(PixelTask):
    """Sequential MNIST: values from 0 to 1, not normalised."""

    pixels = mnist.SIDE**2
    classes = mnist.CLASSES
    shift, scale = 0.0, 255.0

    def read(self, root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """See `PixelTask.read`."""
        return mnist.open_mnist(root, split)


@dataclass(frozen=True, kw_only=True)
class GreyCifar10Task(PixelTask):
    """Sequential CIFAR-10 in grey, normalised by mean 122.6 and deviation 61 (Gu et al. 2022)."""

    pixels = cifar.PIXELS
    classes = cifar.CLASSES
    shift, scale = 122.6, 61.0

    def read(self, root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """See `PixelTask.read`."""
        return cifar.open_cifar10(root, split)
