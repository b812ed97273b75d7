"""The HDF5 layout of SHD (Cramer et al. 2020): writing, reading, and a digest of the contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ....errors import PumiceError
from ....hdf5 import open_hdf5
from ..advice import CORRECT_OR_BUILD
from .voices import CLASSES, Speaker

NOTE = "Synthetic speech in the file layout of SHD; it is not SHD, and no accuracy on it is an SHD accuracy."


@dataclass(frozen=True)
class SpikeData:
    """A split in memory.

    Attributes:
        times: per recording (n,) float16 seconds, sorted.
        units: per recording (n,) uint16 channels, 0 to 699.
        labels: (recordings,) uint16.
        speakers: (recordings,) uint16, index into the ``extra/meta_info`` tables.
    """

    times: Sequence[np.ndarray]
    units: Sequence[np.ndarray]
    labels: np.ndarray
    speakers: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def events(self, index: int) -> np.ndarray:
        """Recording ``index`` as events (n,), fields t (int64, us), x (int64) and p (always 1), as tonic reads them."""
        events = np.empty(len(self.times[index]), dtype=[("t", np.int64), ("x", np.int64), ("p", np.int64)])
        events["t"] = self.times[index].astype(np.float64) * 1e6
        events["x"] = self.units[index]
        events["p"] = 1
        return events

    def head(self, count: int) -> SpikeData:
        """The first ``count`` recordings."""
        return SpikeData(self.times[:count], self.units[:count], self.labels[:count], self.speakers[:count])

    def digest(self) -> str:
        """SHA-256 over all spikes, labels and speakers, whatever file they are stored in."""
        total = hashlib.sha256()
        for times, units in zip(self.times, self.units, strict=True):
            total.update(len(times).to_bytes(8, "little"))
            total.update(np.asarray(times, "<f2").tobytes() + np.asarray(units, "<u2").tobytes())
        total.update(np.asarray(self.labels, "<u2").tobytes() + np.asarray(self.speakers, "<u2").tobytes())
        return total.hexdigest()


def write(path: Path, data: SpikeData, speakers: Sequence[Speaker], provenance: dict[str, Any]) -> None:
    """Write ``data`` to ``path``; the same input gives the same bytes with the same HDF5 library.

    ``speakers`` is the table of all speakers, ordered by id. ``provenance`` is stored as attributes of the file.
    """
    with h5py.File(path, "w", libver=("v108", "v108"), track_order=False) as file:

        def put(name: str, values: Any, dtype: Any) -> None:
            file.create_dataset(name, data=values, dtype=dtype, track_times=False)

        for name, arrays, dtype in (("times", data.times, np.float16), ("units", data.units, np.uint16)):
            column = file.create_dataset(
                f"spikes/{name}", shape=(len(data),), dtype=h5py.vlen_dtype(dtype), track_times=False
            )
            for index, values in enumerate(arrays):
                column[index] = np.asarray(values, dtype)
        put("labels", data.labels, np.uint16)
        put("extra/speaker", data.speakers, np.uint16)
        put("extra/keys", np.array([word.encode() for word in CLASSES]), None)
        put("extra/meta_info/gender", np.array([speaker.gender.encode() for speaker in speakers]), None)
        put("extra/meta_info/voice", np.array([speaker.variant.encode() for speaker in speakers]), None)
        put("extra/meta_info/accent", np.array([speaker.accent.encode() for speaker in speakers]), None)
        for name in ("rate", "pitch", "range"):
            put(f"extra/meta_info/{name}", [getattr(speaker, name) for speaker in speakers], np.uint16)
        file.attrs["note"] = NOTE
        file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)


def read(path: str | Path) -> SpikeData:
    """Read a split from a file in SHD's layout.

    Raises:
        PumiceError: the file is missing, damaged, or laid out otherwise.
    """
    path = Path(path)
    try:
        with open_hdf5(path) as file:
            return SpikeData(
                times=list(file.data("spikes/times")[()]),
                units=list(file.data("spikes/units")[()]),
                labels=file.data("labels")[()],
                speakers=file.data("extra/speaker")[()],
            )
    except FileNotFoundError:
        raise PumiceError(f"{path} does not exist; build it with: pumice data build") from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise PumiceError(f"{path} is no readable file in SHD's layout ({error}); {CORRECT_OR_BUILD}") from error


def read_provenance(path: str | Path) -> dict[str, Any] | None:
    """How a file written by `write` was made; None where the file says nothing or cannot be read."""
    try:
        with open_hdf5(path) as file:
            return json.loads(file.attributes().get("provenance", "null"))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
