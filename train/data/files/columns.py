"""What a file of events holds: columns as they are stored, before units, codings and ranges are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 30
"""Of a file of one recording."""

NAMES: dict[str, tuple[str, ...]] = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x", "unit", "units", "channel", "channels", "neuron", "neurons", "col", "column"),
    "y": ("y", "row"),
    "p": ("p", "pol", "polarity", "polarities", "on"),
}
"""What files call their columns."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The n events of a file, in its order.

    Attributes:
        t: (n,) times.
        x: (n,) channels, or columns of pixels.
        y: (n,) rows of pixels; None of sensors without.
        p: (n,) polarities as they are coded; None of sensors without.
        unit_us: microseconds of a unit of ``t`` where the format says so; None where it does not.
    """

    t: NDArray
    x: NDArray
    y: NDArray | None = None
    p: NDArray | None = None
    unit_us: int | None = None


def by_name(found: Mapping[str, NDArray]) -> Columns:
    """Columns by any of their `NAMES`, in either case.

    Raises:
        ValueError: times or positions are missing, or the columns are no equally long rows of numbers.
    """
    lower = {name.lower(): array for name, array in found.items()}
    columns: dict[str, NDArray] = {}
    for column, names in NAMES.items():
        name = next((name for name in names if name in lower), None)
        if name is None:
            continue
        array = np.asarray(lower[name])
        columns[column] = array.reshape(-1) if array.ndim == 2 and 1 in array.shape else array
        if columns[column].ndim != 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"its {name} are {array.dtype} of shape {array.shape}, no row of numbers")
    if not {"t", "x"} <= set(columns):
        named = ", ".join(list(lower)[:8]) or "nothing"
        raise ValueError(f"it names {named}, and not the times t and the positions x")
    if len({len(array) for array in columns.values()}) > 1:
        raise ValueError("its columns are not equally long")
    return Columns(columns["t"], columns["x"], columns.get("y"), columns.get("p"))


def by_order(table: NDArray, order: tuple[str, ...]) -> Columns:
    """Columns (n, k) of numbers in a stated order; two alone are the first two, of a sensor of channels.

    Raises:
        ValueError: not so many columns.
    """
    if table.ndim == 2 and table.shape[1] == 2:
        order = order[:2]
    if table.ndim != 2 or table.shape[1] != len(order) or table.dtype.kind not in "biuf":
        raise ValueError(
            f"it holds {table.dtype} of shape {table.shape}, not {len(order)} columns of numbers; "
            "name its columns by task.files.columns"
        )
    return by_name({name: table[:, index] for index, name in enumerate(order)})


def open_limited(path: Path, most: int = MOST_BYTES) -> BinaryIO:
    """Open a file of at most ``most`` bytes.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is larger, or no file.
    """
    if not path.is_file():
        raise ValueError("it is no file" if path.exists() else "it does not exist")
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"it has {size:,} bytes, the limit is {most:,}; split it into shorter recordings")
    return path.open("rb")


def read_limited(path: Path) -> bytes:
    """The content of a file; errors as of `open_limited`."""
    with open_limited(path) as file:
        return file.read()
