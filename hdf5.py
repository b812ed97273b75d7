"""Opening HDF5 files from anywhere: what is read lies in the file itself, and is as large as the file says and holds.

A data set may lie in another file (external link or storage, virtual data set), declare any size without storing it,
grow a thousandfold and more when it is unpacked, or let all of its rows name one heap object. Links and layouts are
looked at before they are followed, and sizes are compared with what is stored before memory is taken.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import h5py

FREE_BYTES = 1 << 16
"""What a data set may declare and not store: zeros that nobody wrote."""
LARGEST_CHUNK = 1 << 26
DEFLATE_RATIO = 1032
"""At which deflate grows at most."""
PLAUSIBLE_BYTES, PLAUSIBLE_RATIO = 1 << 26, 8
"""What events, weights and labels of more than these bytes grow at most when they are unpacked."""
DOUBTFUL_BYTES = 1 << 30
"""Content above this has to lie on the disk for a quarter at least: sparse files hold nothing."""
SHUFFLE, DEFLATE, CHECKSUM = 2, 1, 3
PIPELINE = (SHUFFLE, DEFLATE, CHECKSUM)
"""HDF5's numbers of the filters that are undone here, in the order in which writers apply them."""
_CHECKSUM_BYTES = 4


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator[Group]:
    """Open an HDF5 file for reading.

    Raises:
        OSError: it cannot be opened.
        ValueError: no file, or one with a user block.
    """
    import h5py

    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    with h5py.File(path, "r") as file, path.open("rb") as raw:
        if file.userblock_size:
            raise ValueError("it has a user block")
        yield Group(file, raw)


class Group:
    """A group of an open file. Entries come by name: groups as this, data sets as h5py's own, once they are checked."""

    def __init__(self, group: h5py.Group, raw: BinaryIO) -> None:
        self._group, self._raw = group, raw

    @property
    def filename(self) -> str:
        """The path of the file."""
        return self._group.file.filename

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def get(self, name: str) -> Any:
        """The entry called ``name``, as ``group[name]``; None where there is none."""
        try:
            return self[name]
        except KeyError:
            return None

    def __getitem__(self, name: str) -> Any:
        """The group or data set called ``name``, which may be a path.

        Raises:
            KeyError: there is none.
            ValueError: it, or a group on the way, lies elsewhere; or its size cannot be right.
        """
        import h5py

        found = self._walk(name)
        if isinstance(found, h5py.Group):
            return Group(found, self._raw)
        check_dataset(found, self._raw)
        return found

    def data(self, name: str) -> h5py.Dataset:
        """The data set called ``name``; errors as of ``group[name]``.

        Raises:
            ValueError: it is a group.
        """
        found = self[name]
        if isinstance(found, Group):
            raise ValueError(f"{name} is a group, and no data set")
        return found

    def attributes(self) -> dict[str, Any]:
        """All attributes: numbers and texts.

        Raises:
            ValueError: one of them is something else, or large.
        """
        import h5py

        attributes = self._group.attrs
        for name in attributes:
            found = attributes.get_id(name)
            entries = prod(found.shape or ())
            text = found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype)  # each may be as long as the file
            size = entries * (os.fstat(self._raw.fileno()).st_size if text else found.dtype.itemsize)
            if not (text or found.dtype.kind in "biufS") or size > (DOUBTFUL_BYTES if text else FREE_BYTES):
                raise ValueError(f"its attribute {name} is large, or neither numbers nor text")
        return dict(attributes)

    def _walk(self, name: str) -> Any:
        import h5py

        found: Any = self._group
        for part in name.split("/"):
            if not isinstance(found, h5py.Group):
                raise KeyError(name)
            link = found.get(part, getlink=True)
            if link is None:
                raise KeyError(f"it has no {name}")
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{name} is a link to elsewhere ({type(link).__name__}), and not in the file itself")
            found = found[part]
        if not isinstance(found, (h5py.Group, h5py.Dataset)):
            raise ValueError(f"{name} is neither a group nor a data set")
        return found


def check_dataset(dataset: h5py.Dataset, raw: BinaryIO) -> None:
    """Refuse a data set that lies elsewhere, or whose size is not what the file holds.

    Args:
        dataset: numbers, texts, or rows of either of variable length.
        raw: the file itself.

    Raises:
        ValueError: naming the data set and what is wrong with it.
    """
    import h5py

    name, kind = dataset.name, dataset.dtype.kind
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{name} keeps its values elsewhere, and not in the file itself")
    rows = None
    if kind == "O":
        rows = np.dtype("u1") if h5py.check_string_dtype(dataset.dtype) else h5py.check_vlen_dtype(dataset.dtype)
    if kind not in "biufSO" or (kind == "O" and getattr(rows, "kind", "O") not in "biuf"):
        raise ValueError(f"{name} holds {dataset.dtype}, neither numbers nor text")
    if dataset.shape is None:
        raise ValueError(f"{name} holds nothing")
    entry = dataset.id.get_type().get_size()
    declared, stored = prod(dataset.shape) * entry, dataset.id.get_storage_size()
    ratio = 1 if not dataset.chunks else DEFLATE_RATIO if declared <= PLAUSIBLE_BYTES else PLAUSIBLE_RATIO
    if declared > max(FREE_BYTES, stored * ratio):
        raise ValueError(f"{name} declares {declared:,} bytes and stores {stored:,}")
    _check_on_disk(name, declared, raw)
    contents = _chunks(dataset, entry, raw) if dataset.chunks else _block(dataset, declared, raw, rows is not None)
    size = sum(_referred(content, entry) * rows.itemsize if rows else 0 for content in contents)
    if size > os.fstat(raw.fileno()).st_size:
        raise ValueError(f"{name} declares rows of {size:,} bytes, more than the file holds")
    _check_on_disk(name, size, raw)


def _check_on_disk(name: str, size: int, raw: BinaryIO) -> None:
    if size > DOUBTFUL_BYTES and size > 4 * 512 * os.fstat(raw.fileno()).st_blocks:
        raise ValueError(f"{name} declares {size:,} bytes, which the disk does not hold")


def _referred(content: bytes, entry: int) -> int:
    """How many elements rows of variable length have together: each is a count and the place of its values."""
    entries = np.frombuffer(content, np.dtype([("count", "<u4"), ("place", f"V{entry - 4}")]))
    return int(entries["count"].sum(dtype=np.int64))


def _block(dataset: h5py.Dataset, declared: int, raw: BinaryIO, needed: bool) -> Iterator[bytes]:
    """What a data set in one piece stores, where it is needed."""
    if needed and dataset.id.get_storage_size():
        start = dataset.id.get_offset()
        if start is None:
            raise ValueError(f"{dataset.name} keeps rows of variable length in its header")
        yield _read(raw, start, declared)


def _chunks(dataset: h5py.Dataset, entry: int, raw: BinaryIO) -> Iterator[bytes]:
    """The content of each chunk, unpacked within the size that it declares."""
    name, whole, pipeline = dataset.name, prod(dataset.chunks) * entry, _pipeline(dataset)
    if whole > LARGEST_CHUNK:
        raise ValueError(f"{name} has chunks of {whole:,} bytes, the limit is {LARGEST_CHUNK:,}")
    found: list[tuple[int, int, int]] = []
    dataset.id.chunk_iter(lambda chunk: found.append((chunk.byte_offset, chunk.size, chunk.filter_mask)))
    for start, size, left_out in found:
        if left_out:
            raise ValueError(f"{name} leaves filters out here and there")
        content = _read(raw, start, size)
        if CHECKSUM in pipeline:
            content = content[:-_CHECKSUM_BYTES]
        if DEFLATE in pipeline:
            try:
                content = zlib.decompressobj().decompress(content, whole + 1)
            except zlib.error as error:
                raise ValueError(f"{name} is damaged ({error})") from error
        if len(content) != whole:
            raise ValueError(f"{name} has a chunk that does not hold the {whole:,} bytes it declares")
        yield np.frombuffer(content, np.uint8).reshape(entry, -1).T.tobytes() if SHUFFLE in pipeline else content


def _pipeline(dataset: h5py.Dataset) -> list[int]:
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(index)[0] for index in range(properties.get_nfilters())]
    if filters != [number for number in PIPELINE if number in filters]:
        raise ValueError(f"{dataset.name} is packed by filters {filters}; write it with gzip or without")
    return filters


def _read(raw: BinaryIO, start: int, size: int) -> bytes:
    raw.seek(start)
    content = raw.read(size)
    if len(content) < size:
        raise ValueError("it is cut off")
    return content
