"""What a traced run keeps of every event: rows of edges and states, in memory or in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

HELD = 1 << 24
"""Bytes of rows that a recording holds in memory before they are written."""
EACH = 128
"""Bytes that an array takes besides its numbers, which tells where rows come one by one."""

Key = tuple[str, str]
"""``values`` or ``states``, and the node."""


class Rows:
    """Rows of a recording in memory.

    Args:
        channels: of each key.
    """

    def __init__(self, channels: Mapping[Key, int]) -> None:
        self._channels, self.keys = channels, tuple(channels)
        self._kept: dict[Key, list[np.ndarray]] = {key: [] for key in channels}

    def add(self, key: Key, rows: np.ndarray) -> None:
        """The next rows (n, channels) int64."""
        self._kept[key].append(rows)

    def arrays(self) -> dict[Key, np.ndarray]:
        """All rows, (events, channels) int64."""
        return {
            key: np.concatenate([np.zeros((0, self._channels[key]), dtype=np.int64), *rows])
            for key, rows in self._kept.items()
        }


class RowsInFiles(Rows):
    """Rows of a recording in ``.npy`` files, at most about ``HELD`` bytes of them in memory.

    Files are appended to and not mapped while they grow: on a full disk that is an error, and no crash.

    Args:
        channels: of each key.
        folder: of the files, which is made.
    """

    def __init__(self, channels: Mapping[Key, int], folder: Path) -> None:
        super().__init__(channels)
        self.paths = file_names(list(channels))
        self._folder, self._counts, self._held = folder, dict.fromkeys(channels, 0), 0
        folder.mkdir()
        for key, path in self.paths.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with (folder / path).open("xb") as file:
                npy.write_array_header_1_0(file, self._header(key))

    def add(self, key: Key, rows: np.ndarray) -> None:
        """See `Rows.add`."""
        super().add(key, rows)
        self._held += rows.nbytes + EACH
        if self._held >= HELD:
            self._write()

    def close(self) -> None:
        """Write what is left, and how many rows there are; there are no more."""
        self._write()
        for key, path in self.paths.items():
            with (self._folder / path).open("r+b") as file:
                npy.write_array_header_1_0(file, self._header(key))  # padded: as long as the first

    def mapped(self, folder: Path) -> dict[Key, np.ndarray]:
        """All rows, (events, channels) int64, read from disk as they are asked for.

        Args:
            folder: where the files are by now.
        """
        found = {}
        for key, path in self.paths.items():
            found[key] = np.load(folder / path, mmap_mode="r" if self._counts[key] else None)  # nothing is not mapped
        return found

    def _write(self) -> None:
        for key, rows in self._kept.items():
            if rows:
                with (self._folder / self.paths[key]).open("ab") as file:
                    file.writelines(np.ascontiguousarray(part).data for part in rows)
                self._counts[key] += sum(map(len, rows))
                rows.clear()
        self._held = 0

    def _header(self, key: Key) -> dict[str, object]:
        shape = (self._counts[key], self._channels[key])
        return {"descr": npy.dtype_to_descr(np.dtype(np.int64)), "fortran_order": False, "shape": shape}


def file_names(keys: list[Key]) -> dict[Key, Path]:
    """A file of its own for each key: its node's name, of which only what belongs in a path is left."""
    found: dict[Key, Path] = {}
    taken: set[str] = set()
    for kind, name in keys:
        parts = [re.sub(r"[^\w.-]", "_", part, flags=re.ASCII).lstrip(".") for part in name.split("/")]
        path = "/".join([kind, *(part[:100] or "_" for part in parts)])
        while path.lower() in taken:
            path += "_"
        taken.add(path.lower())
        found[kind, name] = Path(f"{path}.npy")
    return found
