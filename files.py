"""Writing artifacts whole or not at all, and reading them back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import PumiceError

PARTIAL = ".partial-"
"""How the names of temporary files begin."""

MAX_TEXT = 1 << 23
"""Bytes of a text or JSON file that is read: in memory they become up to 25 times as large."""


@contextlib.contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``target`` to write to; rename it onto ``target`` when the block ends well.

    The suffix of ``target`` is kept, as some writers choose their format by it. On any exception the temporary
    file is removed and ``target`` stays as it was.

    Raises:
        PumiceError: the folder cannot be written to, or the disk is full.
    """
    target = Path(target)
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{PARTIAL}{target.stem}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private
        temporary.replace(target)
    except OSError as error:
        raise PumiceError(
            f"cannot write {target}: {error.strerror or error}; choose another folder or free space"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """Give a fresh folder beside ``target`` to fill; rename it to ``target`` when the block ends well.

    Raises:
        PumiceError: ``target`` exists, or the folder around it cannot be written to.
    """
    target = Path(target)
    try:
        _refuse_existing(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{PARTIAL}{target.name}-", dir=target.parent) as temporary:
            fresh = Path(temporary) / "folder"
            fresh.mkdir()
            yield fresh
            _refuse_existing(target)
            fresh.rename(target)
    except OSError as error:
        cure = "choose another folder" + (" or free space" if error.errno == errno.ENOSPC else "")
        raise PumiceError(f"cannot write {target}: {error.strerror or error}; {cure}") from error


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise FileExistsError(errno.EEXIST, "File exists")


def copy_file(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all.

    Raises:
        PumiceError: the folder cannot be written to, or the disk is full.
    """
    with atomic_path(target) as path:
        shutil.copyfile(source, path)


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed left in ``folder`` and below; nobody may be writing there."""
    for path in list(folder.rglob(f"{PARTIAL}*")):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file, a folder with all that it holds, or a link, but not what that leads to; none is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_inside(folder: Path) -> None:
    """Refuse a folder that holds a link to outside it, or anything that is no file, folder or link.

    Reading, writing and deleting by name below it then stays below it. ``folder`` itself may be a link.

    Raises:
        PumiceError: naming the entry.
    """
    root = folder.resolve()
    for place, folders, names in os.walk(root):
        for entry in (Path(place, name) for name in (*folders, *names)):
            if not os.path.lexists(entry):  # a temporary file of another process, renamed meanwhile
                continue
            if entry.is_symlink():
                if not Path(os.path.realpath(entry)).is_relative_to(root):
                    raise PumiceError(
                        f"{folder / entry.relative_to(root)} leads out of the folder, to {os.readlink(entry)}; "
                        "put what it leads to in its place, or choose another folder"
                    )
            elif not entry.is_file() and not entry.is_dir():
                raise PumiceError(
                    f"{folder / entry.relative_to(root)} is neither a file nor a folder; put it elsewhere"
                )


def read_text(source: Path) -> str:
    """The UTF-8 text of a file of at most `MAX_TEXT` bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, no file, or no UTF-8.
    """
    if source.exists() and not source.is_file():
        raise ValueError("it is no file")
    with source.open("rb") as file:
        content = file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise ValueError(f"it is larger than {MAX_TEXT >> 20} MiB")
    return content.decode("utf-8")


def write_json(target: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON with sorted keys, atomically; NaN and infinity are refused."""
    with atomic_path(target) as path:
        path.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_json(source: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        PumiceError: the file is missing or is not JSON.
    """
    source = Path(source)
    try:
        return json.loads(read_text(source), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise PumiceError(f"{source} does not exist; run the stage that writes it first") from None
    except (OSError, ValueError, RecursionError) as error:
        raise PumiceError(f"{source} cannot be read as JSON ({error}); write it anew") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"it holds {name}, which JSON does not have")
