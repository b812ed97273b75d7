"""Files of ``torch.save``: written whole or not at all; read with sizes and checksums first, and as data alone."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from ..files import atomic_path
from ..program.archive import open_checked

MOST_BYTES = 3 << 27
"""Of a file; reading takes twice as much."""


class Inert:
    """Stands for every class that a file names: it holds what was kept of an object, and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Whatever the object was made with is dropped."""


def write_torch(path: str | Path, value: Any) -> None:
    """Write tensors and plain data to ``path``, atomically.

    Raises:
        PumiceError: the folder cannot be written to, or the disk is full.
    """
    content = io.BytesIO()  # torch's own writer does not say why it failed
    torch.save(value, content)
    with atomic_path(path) as target:
        target.write_bytes(content.getbuffer())


def read_torch(
    path: str | Path, map_location: Any = None, *, foreign: bool = False, most_bytes: int = MOST_BYTES
) -> Any:
    """The content of a file of ``torch.save``; nothing but tensors and plain data is made of it.

    Args:
        path: of the file.
        map_location: of the tensors; the CPU if not given.
        foreign: put `Inert` in the place of objects of other classes, in place of refusing the file.
        most_bytes: of all entries of the file.

    Raises:
        Exception: of a dozen kinds, for a file that is damaged, declares more than it holds or than ``most_bytes``, or
            names classes.
    """
    content = _checked(path, most_bytes)
    named = get_unsafe_globals_in_checkpoint(content) if foreign else []
    content.seek(0)
    with safe_globals([(Inert, name) for name in named]):
        found = torch.load(content, map_location=map_location or "cpu", weights_only=True)
    check_tensors(found)
    return found


def _checked(path: str | Path, most_bytes: int) -> io.BytesIO:
    """The archive anew, of entries whose sizes and checksums are right: torch has a reader of its own for both."""
    copied = io.BytesIO()
    with (
        open(path, "rb") as file,
        open_checked(file, most_bytes) as archive,
        zipfile.ZipFile(copied, "w") as target,
    ):
        for member in archive.infolist():
            with archive.open(member) as source, target.open(member.filename, "w") as sink:
                shutil.copyfileobj(source, sink)
    copied.seek(0)
    return copied


def check_tensors(value: Any) -> None:
    """Refuse tensors that stand for more values than they hold."""
    waiting, seen = [value], set[int]()
    while waiting:
        entry = waiting.pop()
        if id(entry) in seen:  # a file may hold one list many times over
            continue
        seen.add(id(entry))
        if isinstance(entry, torch.Tensor):
            if entry.numel() * entry.element_size() > entry.untyped_storage().nbytes():
                raise ValueError(f"a tensor of shape {tuple(entry.shape)} holds fewer values")
        elif isinstance(entry, (dict, list, tuple)):
            waiting += entry.values() if isinstance(entry, dict) else entry


def reason_of(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).splitlines() or [type(error).__name__])[0]
