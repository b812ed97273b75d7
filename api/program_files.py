"""Programs from files of either kind: Pumice's own, and lava-dl's .net; loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..program import Program, ProgramError, storage

HDF5 = b"\x89HDF\r\n\x1a\n"


def load_program(path: str | Path, **settings: Any) -> Program:
    """The program of a ``.npz``, checked by its digest, or that of a ``.net`` of lava-dl.

    Args:
        path: of the file; HDF5 under any name is taken for a ``.net``.
        settings: of a ``.net`` file, what it may leave open: those of `export.netx.program_of`.

    Raises:
        PumiceError: it is missing, damaged, newer than this Pumice, or no program, or holds what no program can.
    """
    path = Path(path)
    if path.suffix == ".net" or _begins_with(path, HDF5):
        from ..export.netx import program_of

        return program_of(path, **settings)
    if settings:
        raise PumiceError(f"{', '.join(settings)}: {path} is a program, which says this itself; leave it out")
    try:
        return storage.load(path)
    except ProgramError as error:
        raise PumiceError(str(error)) from error


def _begins_with(path: Path, signature: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(signature)) == signature
    except OSError:  # whoever reads it says so
        return False
