"""Encoded sound, kept in the cache folder: a piece a file by its content, and a split in SHD's layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ....archives import save_arrays
from ....errors import PumiceError
from ....files import atomic_path
from ....program.archive import read_arrays
from ....terminal import progress
from ...cores import usable_cores
from ..spoken_digits import encoder
from ..spoken_digits.archive import cache_folder, sha256
from .decode import RATE, decode, level, resample
from .settings import AudioSettings

VERSION = 1
"""Of what is kept: pieces of another are not used."""
AT_ONCE = 1 << 23
"""Samples of all channels that are filtered at once by a thread: 40 bytes each."""
MOST_BYTES = 1 << 28
Spikes = tuple[NDArray[np.float32], NDArray[np.uint16]]


def encode_file(path: Path, settings: AudioSettings) -> Spikes:
    """Seconds (n,) and channels (n,) of the spikes of a sound file.

    Raises:
        PumiceError: it cannot be read, is too long, or silent.
    """
    rate, samples = decode(path, settings.longest_s)
    sound = level(path, resample(samples, rate), settings.trim)
    chunk = max(1, min(encoder.CHUNK, AT_ONCE // len(sound)))
    times, units = encoder.encode(sound, RATE, dtype=np.float32, chunk=chunk)
    return times, units


def encode_files(files: Sequence[Path], settings: AudioSettings) -> tuple[list[str], Callable[[int], Spikes]]:
    """Encode files in parallel, those that are kept from an earlier time excepted.

    Returns:
        the SHA-256 of each file's content, and what reads the spikes of each.

    Raises:
        PumiceError: a file cannot be encoded, or the cache folder cannot be written to.
    """
    folder = store(settings) / "pieces"
    digests = [""] * len(files)

    def one(index: int) -> None:
        digests[index] = sha256(files[index])
        target = _piece(folder, digests[index])
        if not target.is_file():
            times, units = encode_file(files[index], settings)
            save_arrays(target, {"times": times, "units": units})

    cores = usable_cores()
    pool = ThreadPoolExecutor(settings.threads or cores)
    with progress("encoding sound, files", len(files)) as step, pool:
        try:
            for _ in pool.map(one, range(len(files))):
                step()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return digests, lambda index: _read_piece(_piece(folder, digests[index]))


def store(settings: AudioSettings) -> Path:
    """The folder of what is encoded by these settings and this encoder."""
    about = {"version": VERSION, "rate": RATE, "trim": settings.trim, **encoder.parameters()}
    return cache_folder() / f"audio-{hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]}"


def split_file(
    files: Sequence[Path],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    speakers: NDArray[np.int64] | None,
    settings: AudioSettings,
) -> Path:
    """The file in SHD's layout that holds the recordings (N,) of a split, made where it does not exist.

    Times are float32 seconds: float16, as in SHD, tells no milliseconds apart after two seconds.

    Raises:
        PumiceError: see `encode_files`.
    """
    digests, spikes = encode_files(files, settings)
    about = [digests, labels.tolist(), list(class_names), None if speakers is None else speakers.tolist()]
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]
    target = store(settings) / f"{name}.h5"
    if target.is_file():
        return target
    with atomic_path(target) as path, h5py.File(path, "w") as file:
        columns = [
            file.create_dataset(f"spikes/{name}", (len(files),), h5py.vlen_dtype(kind))
            for name, kind in (("times", np.float32), ("units", np.uint16))
        ]
        for index in range(len(files)):
            columns[0][index], columns[1][index] = spikes(index)
        file["labels"] = labels
        file["extra/keys"] = np.array([name.encode() for name in class_names])
        file["extra/sha256"] = np.array([digest.encode() for digest in digests])
        if speakers is not None:
            file["extra/speaker"] = speakers
    return target


def _piece(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / f"{digest}.npz"


def _read_piece(path: Path) -> Spikes:
    try:
        arrays = read_arrays(path, MOST_BYTES)
        return arrays["times"], arrays["units"]
    except (OSError, ValueError, KeyError) as error:
        raise PumiceError(f"{path} cannot be read ({error}); delete it, and it is encoded anew") from error
