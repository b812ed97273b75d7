"""Opening HDF5 files from anywhere: what is read lies in the file itself, and is as large as the file says and holds.

A data set may lie in another file (external link or storage, virtual data set), declare any size without storing it,
grow a thousandfold and more when it is unpacked, or let all of its rows name one heap object. Links and layouts are
looked at before they are followed, and sizes are compared with what is stored before memory is taken.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import re
import struct
import zlib
from collections.abc import Collection, Iterator
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
MOST_PLACES = 1000
"""At which an attribute of text may be found."""
SHUFFLE, DEFLATE, CHECKSUM = 2, 1, 3
PIPELINE = (SHUFFLE, DEFLATE, CHECKSUM)
"""HDF5's numbers of the filters that are undone here, in the order in which writers apply them."""
_CHECKSUM_BYTES = 4
SEQUENCES, TEXTS = 0, 1
"""HDF5's kinds of rows of variable length; of others the library calls functions that it does not have."""
HEAP = b"GCOL\1\0\0\0"
_ENTRY = np.dtype([("count", "<u4"), ("heap", "<u8"), ("index", "<u4")])
_LENGTHS = struct.Struct("<3H")
_ROWS = 9  # HDF5's number of types of variable length
_HEAP_HEAD, _OBJECT_HEAD = struct.Struct("<8sQ"), struct.Struct("<HH4xQ")


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator[Group]:
    """Open an HDF5 file for reading.

    Raises:
        OSError: it cannot be opened.
        ValueError: no file; one with a user block, with addresses of other widths, or of which the disk does not hold
            much; or whatever the library raises in the block, in files that are damaged.
    """
    import h5py

    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    try:
        with path.open("rb") as raw:
            size, held = os.fstat(raw.fileno()).st_size, 512 * os.fstat(raw.fileno()).st_blocks
        if size > max(PLAUSIBLE_BYTES, PLAUSIBLE_RATIO * held):  # the library takes what any header declares
            raise ValueError(f"it declares {size:,} bytes, which the disk does not hold")
        with h5py.File(path, "r") as file, path.open("rb") as raw:
            if file.userblock_size:
                raise ValueError("it has a user block")
            if set(file.id.get_create_plist().get_sizes()) != {8}:
                raise ValueError("its addresses or sizes do not have 64 bits")
            yield Group(file, raw)
    except (LookupError, RuntimeError, TypeError, MemoryError, ArithmeticError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0].strip("'\"")) from error


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

        attributes, texts = self._group.attrs, []
        for name in attributes:
            found = attributes.get_id(name)
            entries = prod(found.shape or ())
            text = found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype)
            size = entries * (_ENTRY.itemsize if text else found.dtype.itemsize)
            if not (text or found.dtype.kind in "biufS") or size > FREE_BYTES:
                raise ValueError(f"its attribute {name} is large, or neither numbers nor text")
            if text:
                texts.append(found.name)
        if texts:
            _check_texts(texts, self._raw)
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
    kind_of_rows = dataset.id.get_type().encode()[3] & 15 if rows is not None else TEXTS
    if kind_of_rows not in (SEQUENCES, TEXTS):
        raise ValueError(f"{name} holds rows of an unknown kind, {kind_of_rows}")
    if dataset.shape is None:
        raise ValueError(f"{name} holds nothing")
    entry = dataset.id.get_type().get_size() if rows is None else _ENTRY.itemsize  # texts tell that of a pointer
    declared, stored = prod(dataset.shape) * entry, dataset.id.get_storage_size()
    ratio = 1 if not dataset.chunks else DEFLATE_RATIO if declared <= PLAUSIBLE_BYTES else PLAUSIBLE_RATIO
    if declared > max(FREE_BYTES, stored * ratio):
        raise ValueError(f"{name} declares {declared:,} bytes and stores {stored:,}")
    _check_on_disk(name, declared, raw)
    contents = _chunks(dataset, entry, raw) if dataset.chunks else _block(dataset, declared, raw, rows is not None)
    size, heaps = 0, Heaps(raw)
    for content in contents:
        size += 0 if rows is None else _referred(content, heaps) * rows.itemsize
    if size > os.fstat(raw.fileno()).st_size:
        raise ValueError(f"{name} declares rows of {size:,} bytes, more than the file holds")
    _check_on_disk(name, size, raw)


class Heaps:
    """Heaps of texts and of rows of variable length, in which the library must not walk in place for ever.

    A heap is ``GCOL``, version 1, its size, and objects: index (0: what is free), references, size, content.

    Args:
        raw: the file itself.
    """

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._size = raw, os.fstat(raw.fileno()).st_size
        self._seen: set[int] = set()
        self._left = self._size // _OBJECT_HEAD.size  # objects in all heaps; those of heaps in heaps are more

    def check(self, start: int) -> None:
        """Refuse the heap at ``start``; what begins otherwise the library refuses.

        Raises:
            ValueError: free space without a size, objects that end behind their heap, or heaps within heaps.
        """
        if start in self._seen or start >= self._size:
            return
        self._seen.add(start)
        head = self._read(start, _HEAP_HEAD.size)
        if not head.startswith(HEAP) or len(head) < _HEAP_HEAD.size:
            return
        place, end = start + _HEAP_HEAD.size, start + _HEAP_HEAD.unpack(head)[1]
        while place + _OBJECT_HEAD.size <= min(end, self._size):
            index, _, size = _OBJECT_HEAD.unpack(self._read(place, _OBJECT_HEAD.size))
            self._left -= 1
            need = size if index == 0 else _OBJECT_HEAD.size + -(-size // 8) * 8
            if self._left < 0 or not 0 < need <= end - place:  # where the library's addresses wrap, it goes back
                raise ValueError("its heap of texts and rows is damaged")
            place += need

    def _read(self, start: int, size: int) -> bytes:
        self._raw.seek(start)
        return self._raw.read(size)


def _check_texts(names: Collection[bytes], raw: BinaryIO) -> None:
    """Refuse attributes of text that declare more than the file holds, or whose heap is damaged.

    The library takes what an entry declares before it looks into the heap, and does not tell where an attribute lies.
    So each place is looked at that can be one.

    Args:
        names: of the attributes.
        raw: the file itself.

    Raises:
        ValueError: naming the attribute; or a file that is too long to be searched.
    """
    heaps, size = Heaps(raw), os.fstat(raw.fileno()).st_size
    if size * len(names) > DOUBTFUL_BYTES:
        raise ValueError(f"it has {len(names)} attributes of text in {size:,} bytes, more than are searched for them")
    with mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for name in names:
            shown, found = name.decode(errors="backslashreplace"), _attributes(content, name)
            if not 0 < len(found) <= MOST_PLACES:
                raise ValueError(f"its attribute {shown} is packed, or repeated very often")
            if any(_referred(entries, heaps) > size for entries in found):
                raise ValueError(f"its attribute {shown} declares more text than the file holds")


def _attributes(content: mmap.mmap, name: bytes) -> list[bytes]:
    """The entries of all that can be an attribute ``name`` of text; none of what is shared with other objects.

    It is a version, a byte of flags, the sizes of name, type and shape, in version 3 a character set; then name, type,
    shape and entries, each padded to 8 bytes in version 1.
    """
    length, word = re.escape((len(name) + 1).to_bytes(2, "little")), re.escape(name + b"\0")
    heads = rb"(?:(?<=(?:\x01.|\x02\x00)%b.{4}%b)|(?<=(\x03\x00)%b.{5}%b))" % (length, word, length, word)
    found = []
    for match in itertools.islice(re.finditer(word + heads, content, re.DOTALL), MOST_PLACES + 1):
        head = match.start() - (9 if match[1] else 8)
        multiple = 8 if content[head] == 1 else 1
        lengths = [-(-length // multiple) * multiple for length in _LENGTHS.unpack_from(content, head + 2)]
        kind, shape, start = (match.start() + sum(lengths[:count]) for count in (1, 2, 3))
        version, axes = content[shape : shape + 2].ljust(2, b"\0")
        at = shape + (8 if version == 1 else 4)
        extent = content[at : at + 8 * axes].ljust(8 * axes, b"\0")
        count = prod(struct.unpack(f"<{axes}Q", extent))
        if start < len(content) and content[kind] & 15 == _ROWS and count * _ENTRY.itemsize <= FREE_BYTES:
            found.append(content[start : start + count * _ENTRY.itemsize])
    return found


def _check_on_disk(name: str, size: int, raw: BinaryIO) -> None:
    if size > DOUBTFUL_BYTES and size > 4 * 512 * os.fstat(raw.fileno()).st_blocks:
        raise ValueError(f"{name} declares {size:,} bytes, which the disk does not hold")


def _referred(content: bytes, heaps: Heaps) -> int:
    """How many elements rows of variable length have together: each is a count, the place of a heap, and an index."""
    entries = np.frombuffer(content, _ENTRY, len(content) // _ENTRY.itemsize)
    for start in np.unique(entries["heap"]).tolist():  # of empty rows the library walks over the heap, too
        heaps.check(start)
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
