"""Opening a file of events, whatever its format, by the end of its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ....errors import PumiceError
from .aedat import read_aedat
from .columns import Columns
from .hierarchical import read_hdf5
from .matlab import read_mat
from .nmnist import read_bin
from .plain import read_csv, read_npy, read_npz
from .prophesee import read_dat, read_raw

Reader = Callable[[Path, tuple[str, ...]], Columns]

READERS: dict[str, Reader] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".csv": read_csv,
    ".txt": read_csv,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".mat": read_mat,
    ".bin": read_bin,
    ".dat": read_dat,
    ".raw": read_raw,
    ".aedat": read_aedat,
    ".aedat4": read_aedat,
}


def read_columns(path: Path, order: tuple[str, ...] = ("t", "x", "y", "p"), camera: str = "dvs128") -> Columns:
    """The columns of a file of one recording.

    Args:
        path: the file; the end of its name says the format.
        order: of columns without names.
        camera: of AEDAT files of version 1 and 2, see `aedat.read_aedat`.

    Raises:
        PumiceError: no known format, or a file that cannot be read; names it and the reason.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise PumiceError(f"{path} ends in none of {', '.join(READERS)}; convert it, or leave it out")
    if reader is read_aedat:
        reader = partial(read_aedat, camera=camera)
    try:
        return reader(path, order)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise PumiceError(f"{path} cannot be read as a recording ({reason})") from error
