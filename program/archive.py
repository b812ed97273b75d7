"""Reading ``.npz`` files from anywhere: sizes are checked against one another before anything is read.

A ``.npz`` is a zip archive of ``.npy`` files. Its directory declares how large each is, each header the shape and type
of its array, and deflated data grow at most 1032-fold. Where these do not agree, or claim more than a limit, the file
is refused before memory is taken; what is read goes straight into the arrays. Nothing goes through pickle.
"""

from __future__ import annotations

import os
import zipfile
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np

MOST_BYTES = 1 << 28
"""Of all arrays of a program together."""

_DIRECTORY_BYTES = 1 << 22
_DEFLATE_RATIO = 1032
_END, _END_SIZE, _COMMENT = b"PK\x05\x06", 22, 1 << 16
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_END64, _END64_SIZE = b"PK\x06\x06", 56
_PIECE = 1 << 20


def read_arrays(path: str | Path, most_bytes: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """All arrays of a ``.npz`` of numbers, by name, within ``most_bytes`` together.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is damaged, holds anything but numbers, or declares more than the limit or than it can hold.
    """
    with open(path, "rb") as file:
        try:
            with open_checked(file, most_bytes) as archive:
                members = archive.infolist()
                return {member.filename.removesuffix(".npy"): _read_array(archive, member) for member in members}
        except Exception as error:  # a damaged zip or npy file raises a dozen kinds of exception
            raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error


def open_checked(file: IO[bytes], most_bytes: int) -> zipfile.ZipFile:
    """Open a zip archive whose entries declare no more than ``most_bytes`` together, and no more than they can hold.

    Raises:
        ValueError: it declares more, or is packed in another way than ``.npz`` files and torch's are.
        zipfile.BadZipFile: it is damaged.
    """
    _check_directory(file)
    archive = zipfile.ZipFile(file)
    _check_members(archive.infolist(), os.fstat(file.fileno()).st_size, most_bytes)
    return archive


def _check_directory(file: IO[bytes]) -> None:
    """Refuse a directory longer than that of any ``.npz``: zipfile takes some twenty times its size in memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_SIZE - _COMMENT - _LOCATOR_SIZE - _END64_SIZE))
    tail = file.read()
    at = len(tail) - _END_SIZE
    if at < 0 or not (tail[at:].startswith(_END) and tail.endswith(b"\0\0")):  # where zipfile looks first
        at = tail.rfind(_END)
    if at < 0 or at + _END_SIZE > len(tail):
        raise ValueError("it is no zip archive")
    directory = tail[at + 12 : at + 16]
    if at >= _LOCATOR_SIZE + _END64_SIZE and tail.startswith(_LOCATOR, at - _LOCATOR_SIZE):
        record = tail[at - _LOCATOR_SIZE - _END64_SIZE :]
        directory = record[40:48] if record.startswith(_END64) else directory
    if int.from_bytes(directory, "little") > _DIRECTORY_BYTES:
        raise ValueError(f"its directory takes more than {_DIRECTORY_BYTES >> 20} MiB")
    file.seek(0)


def _check_members(members: list[zipfile.ZipInfo], size: int, most_bytes: int) -> None:
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise ValueError("two of its arrays have one name")
    for member in members:
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.flag_bits & 1 or not (stored or member.compress_type == zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename!r} is packed in a way that .npz files are not")
        longest = member.compress_size if stored else _DEFLATE_RATIO * member.compress_size
        if member.file_size > longest:
            raise ValueError(f"{member.filename!r} declares {member.file_size} bytes, more than its data can hold")
    if sum(member.compress_size for member in members) > size:
        raise ValueError("its arrays overlap")
    total = sum(member.file_size for member in members)
    if total > most_bytes:
        raise ValueError(f"it declares {total} bytes of arrays, the limit is {most_bytes}")


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with cast(zipfile.ZipExtFile, archive.open(member)) as stream:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError(f"{member.filename!r} is no array of numbers")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.kind not in "biuf":
            raise ValueError(f"{member.filename!r} holds {dtype.kind!r}, not numbers")
        declared = prod(shape) * dtype.itemsize
        if declared != member.file_size - stream.tell():
            raise ValueError(f"{member.filename!r} declares the shape {shape}, which its bytes do not fill")
        array = np.empty(prod(shape), dtype)
        buffer, filled = array.view(np.uint8).data, 0
        while filled < declared:
            got = stream.readinto(buffer[filled : filled + _PIECE])  # also checks the CRC, at the end
            if not got:
                raise ValueError(f"{member.filename!r} is cut off")
            filled += got
        stream.read(1)
    return array.reshape(shape[::-1]).transpose() if fortran else array.reshape(shape)
