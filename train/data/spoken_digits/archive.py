"""The set that ships with the package: compressed HDF5 files, unpacked once into a cache folder."""

from __future__ import annotations

import hashlib
import lzma
import os
from pathlib import Path
from typing import Any

import platformdirs

from ....errors import PumiceError
from ....files import atomic_path, read_json
from .layout import SpikeData, read
from .voices import SPLITS

FOLDER = Path(__file__).parent
CHECKSUMS = FOLDER / "checksums.json"
# Two-byte values: literal position and position bits of 1 save a tenth.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 1, "pb": 1}]


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack(source: Path, target: Path) -> None:
    """Compress ``source`` to ``target`` (xz), atomically."""
    with atomic_path(target) as path:
        path.write_bytes(lzma.compress(source.read_bytes(), format=lzma.FORMAT_XZ, filters=FILTERS))


def checksums() -> dict[str, Any]:
    """What is recorded of the shipped set: seed, versions, and per split the counts and SHA-256 sums."""
    return read_json(CHECKSUMS)


def cache_folder() -> Path:
    """Where unpacked data lie: the folder named by the variable PUMICE_CACHE, or the user's cache folder."""
    return Path(os.environ.get("PUMICE_CACHE") or platformdirs.user_cache_dir("pumice")).expanduser()


def path(split: str) -> Path:
    """Path of the unpacked HDF5 file of a split, ``train`` or ``test``; unpacks it on first use.

    Raises:
        PumiceError: no such split, the packed file is damaged, or the cache folder cannot be written to.
    """
    if split not in SPLITS:
        raise PumiceError(f"spoken-digits has no split {split!r}; choose train or test")
    expected = checksums()["splits"][split]["sha256"]
    target = cache_folder() / f"spoken-digits-{expected[:12]}" / f"{split}.h5"
    _unpack(FOLDER / f"{split}.h5.xz", target, expected)
    return target


def _unpack(source: Path, target: Path, expected: str) -> None:
    """Unpack unless ``target`` already has the right sum."""
    if target.is_file() and sha256(target) == expected:
        return
    try:
        with lzma.open(source) as packed:
            content = packed.read()
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise PumiceError(f"{source} is missing or damaged ({error}); install pumice anew") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise PumiceError(f"{source} does not have the recorded SHA-256; install pumice anew")
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def load(split: str) -> SpikeData:
    """The spikes, labels and speakers of a shipped split, ``train`` or ``test``."""
    return read(path(split))
