"""Events in HDF5 files with a data set a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ....hdf5 import Group, open_hdf5
from .columns import NAMES, Columns, by_name, open_limited

PLACES = ("", "events", "CD/events", "data")
"""Where the columns are looked for: at the top, and in the groups that writers put them into."""
_KNOWN = {name for names in NAMES.values() for name in names}


def read_hdf5(path: Path, order: tuple[str, ...]) -> Columns:
    """Columns by name, at the top of the file or in one of `PLACES`.

    Raises:
        OSError, ValueError: it cannot be read, or holds something else.
    """
    open_limited(path).close()
    try:
        with open_hdf5(path) as file:
            for place in PLACES:
                group: Any = file.get(place) if place else file
                if isinstance(group, Group) and (names := [name for name in group if name.lower() in _KNOWN]):
                    return by_name({name: np.asarray(group.data(name)[()]) for name in names})
            raise ValueError(f"it has no columns t and x at {', '.join(place or 'the top' for place in PLACES)}")
    except (RuntimeError, LookupError, TypeError, MemoryError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
