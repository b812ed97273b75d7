"""Speech Commands (Warden 2018) as raw waveforms: the unpacked archive of version 0.02."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ....errors import PumiceError
from ..advice import CORRECT_OR_FETCH
from ..audio.decode import decode
from ..files.columns import read_limited
from ..task import Validation
from .batch import BlockBatch, whole_sequences
from .sets import SequenceSet, Streams
from .task import SequenceTask

WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
    "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop",
    "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip
RATE = STEPS = 16_000
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
FOLDERS = ("", "speech_commands_v0.02", "SpeechCommands/speech_commands_v0.02")
LONGEST_S = 1.0


class WaveformSet(SequenceSet):
    """Sound files as sequences of 16,000 samples, silence behind shorter ones; read when they are asked for.

    Args:
        name: for messages.
        paths: of the files.
        labels: int64 (N,).
    """

    in_features = 1
    class_names = WORDS

    def __init__(self, name: str, paths: Sequence[Path], labels: NDArray[np.int64]) -> None:
        self.name, self.paths, self.labels = name, paths, labels
        self.lengths = np.full(len(paths), STEPS, dtype=np.int64)

    def subset(self, chosen: NDArray[np.int64]) -> WaveformSet:
        """See `SequenceSet.subset`."""
        return WaveformSet(self.name, [self.paths[index] for index in chosen], self.labels[chosen])

    def batch(self, samples: Sequence[int], streams: Streams | None) -> BlockBatch:
        """See `SequenceSet.batch`."""
        rows = list(samples)
        values = np.stack([_waveform(self.paths[index]) for index in rows])
        return whole_sequences(torch.from_numpy(values).unsqueeze(2), self.labels[rows], self.lengths[rows])


def _waveform(path: Path) -> NDArray[np.float32]:
    rate, samples = decode(path, LONGEST_S)
    if rate != RATE:
        raise PumiceError(
            f"{path} has a rate of {rate:,} Hz, those of Speech Commands have {RATE:,}; {CORRECT_OR_FETCH}"
        )
    return np.pad(samples, (0, STEPS - len(samples)))


@dataclass(frozen=True, kw_only=True)
class SpeechCommandsTask(SequenceTask):
    """35 words, a sample of sound a step; the published lists say which files validate and test.

    root: folder that holds the words' folders and the lists, or speech_commands_v0.02.
    """

    root: str | None = None
    validation: Validation = field(default_factory=lambda: Validation(by="own"))

    outputs = property(lambda self: len(WORDS))
    in_features = property(lambda self: 1)

    @property
    def own_validation(self) -> bool:
        """The published lists have one."""
        return True

    def open(self, split: str) -> SequenceSet:
        """See `SequenceTask.open`."""
        root = self.folder(self.root)
        base = next((root / folder for folder in FOLDERS if (root / folder / LISTS["test"]).is_file()), None)
        if base is None:
            raise PumiceError(
                f"{root / LISTS['test']} does not exist; set task.root to the folder that holds it and the words' "
                "folders, unpacked from the published archive"
            )
        listed = {name: _listed(base / file) for name, file in LISTS.items()}
        names = listed[split] if split in listed else _others(base, {*listed["validation"], *listed["test"]})
        if not names:
            raise PumiceError(f"{base} holds no files of the {split} split; unpack the archive anew")
        labels = np.array([WORDS.index(name.partition("/")[0]) for name in names], dtype=np.int64)
        return WaveformSet(str(base), [base / name for name in names], labels)


def _listed(path: Path) -> list[str]:
    """The files that a list names, word/file.wav a line.

    Raises:
        PumiceError: it cannot be read, or names something else.
    """
    try:
        names = read_limited(path).decode("ascii").split()
    except (OSError, ValueError) as error:
        raise PumiceError(f"{path} cannot be read as a list of files ({error}); {CORRECT_OR_FETCH}") from error
    for name in names:
        word, _, file = name.partition("/")
        if word not in WORDS or "/" in file or not file.endswith(".wav"):
            raise PumiceError(f"{path} names {name!r}, which is no file of a word; {CORRECT_OR_FETCH}")
    return names


def _others(base: Path, listed: set[str]) -> list[str]:
    """The files of all words that are on no list."""
    found = (f"{word}/{path.name}" for word in WORDS for path in sorted((base / word).glob("*.wav")))
    return [name for name in found if name not in listed]
