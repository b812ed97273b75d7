"""Archives that hold far more zeros than their own bytes, made in no time: one packed piece, again and again."""

from __future__ import annotations

import struct
import zipfile
import zlib

MIB = 1 << 20


def deflated(head: bytes, size: int) -> bytes:
    """Raw deflate of ``head`` and ``size`` zeros, a multiple of a MiB."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    first = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # which refers to nothing before it
    return first + piece * (size // MIB) + b"\x03\x00"


def zlib_zeros(size: int) -> bytes:
    """What `zlib.decompress` makes ``size`` zeros of, a multiple of a MiB."""
    return b"\x78\x9c" + deflated(b"", size) + struct.pack(">I", (size % 65521) << 16 | 1)  # Adler-32 of zeros


def pack_zeros(archive: zipfile.ZipFile, name: str, head: bytes, size: int) -> None:
    """Add an entry of ``head`` and ``size`` zeros, a multiple of a MiB, to an archive that is being written."""
    checksum = zlib.crc32(head)
    for _ in range(size // MIB):
        checksum = zlib.crc32(bytes(MIB), checksum)
    entry = zipfile.ZipInfo(name)
    archive.writestr(entry, deflated(head, size))  # as it is; now the entry tells what that means
    entry.compress_type, entry.file_size, entry.CRC = zipfile.ZIP_DEFLATED, len(head) + size, checksum
    end = archive.fp.tell()
    archive.fp.seek(entry.header_offset)
    archive.fp.write(entry.FileHeader(zip64=False))
    archive.fp.seek(end)
