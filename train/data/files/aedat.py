"""AEDAT files of jAER (1.0, 2.0), cAER (3.1) and DV (4.0, through the package aedat), as iniVation documents them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from .columns import MOST_BYTES, Columns, open_limited, read_limited

LONGEST_HEADER = 1 << 20
MAGIC = b"#!AER-DAT"
PACKET = struct.Struct("<HHIIIIII")
"""Type, source, size of an event, offset of its time, overflows of the clock, capacity, number, valid ones."""
POLARITY, POLARITY_BYTES = 1, 8
DAVIS_DVS = np.uint32(0x8000_0000)
"""Addresses of DAVIS cameras with this bit are frames and motion."""
CAMERAS = ("dvs128", "davis")


def read_aedat(path: Path, order: tuple[str, ...], camera: str = "dvs128") -> Columns:
    """Pixel events, polarities 0 and 1, microseconds.

    Args:
        path: the file.
        order: of nothing here.
        camera: how addresses of version 1.0 and 2.0 are laid out, one of `CAMERAS`.

    Raises:
        OSError, ValueError: it cannot be read, is of no known version, or is cut off.
        PumiceError: it needs the package aedat.
    """
    with open_limited(path) as file:
        first = file.readline(64)
    version = first[len(MAGIC) :].strip()[:1] if first.startswith(MAGIC) else b"1"
    if version == b"4":
        return _version4(path)
    content = read_limited(path)
    if version == b"3":
        return _version3(content)
    if version not in (b"1", b"2"):
        raise ValueError(f"its version is {first[len(MAGIC) :].strip()!r}, known are 1 to 4")
    return _addresses(content[_comments(content) :], version == b"1", camera)


def _comments(content: bytes) -> int:
    """Where the lines that begin with # end."""
    start = 0
    while content[start : start + 1] == b"#":
        end = content.find(b"\n", start)
        if end < 0 or end > LONGEST_HEADER:
            raise ValueError(f"its header is longer than {LONGEST_HEADER:,} bytes")
        ended, start = content[start:end].startswith(b"#!END-HEADER"), end + 1
        if ended:
            break
    return start


def _addresses(content: bytes, short: bool, camera: str) -> Columns:
    kind = np.dtype([("address", ">u2" if short else ">u4"), ("t", ">u4")])
    if len(content) % kind.itemsize:
        raise ValueError(f"its {len(content):,} bytes of events are no multiple of {kind.itemsize}; it is cut off")
    events = np.frombuffer(content, kind)
    address = events["address"].astype(np.uint32)
    if camera == "davis" and not short:
        events, address = events[address & DAVIS_DVS == 0], address[address & DAVIS_DVS == 0]
        x, y, p = address >> 12 & 0x3FF, address >> 22 & 0x1FF, address >> 11 & 1
    else:
        x, y, p = 127 - (address >> 1 & 0x7F), address >> 8 & 0x7F, 1 - (address & 1)
    return Columns(events["t"].astype(np.int64), x.astype(np.int64), y.astype(np.int64), p.astype(np.int64), 1)


def _version3(content: bytes) -> Columns:
    """Packets of one type each; those that hold other things than polarities are left out."""
    place, words, times = _comments(content), [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    while place < len(content):
        if place + PACKET.size > len(content):
            raise ValueError("its last packet is cut off")
        kind, _, size, _, overflow, capacity, number, _ = PACKET.unpack_from(content, place)
        place += PACKET.size
        if number > capacity or size * capacity > len(content) - place:
            raise ValueError("a packet declares more events than the file holds")
        if kind == POLARITY:
            if size != POLARITY_BYTES:
                raise ValueError(f"its polarity events have {size} bytes, not {POLARITY_BYTES}")
            pairs = np.frombuffer(content, "<u4", 2 * number, place).reshape(-1, 2)
            pairs = pairs[pairs[:, 0] & 1 == 1]
            words.append(pairs[:, 0])
            times.append(pairs[:, 1].astype(np.int64) + (overflow << 31))
        place += size * capacity
    data, t = np.concatenate(words), np.concatenate(times)
    return Columns(t, data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1, 1)


def _version4(path: Path) -> Columns:
    try:
        import aedat
    except ImportError:
        raise PumiceError(
            f"{path} is of AEDAT version 4, which needs the package aedat; install it with: pip install 'pumice[aedat]'"
        ) from None
    packets: list[NDArray] = []
    total = 0
    try:
        decoder = aedat.Decoder(path)
        streams = [number for number, about in decoder.id_to_stream().items() if about["type"] == "events"]
        if not streams:
            raise ValueError("it has no stream of events")
        for packet in decoder:
            if packet["stream_id"] == min(streams) and "events" in packet:
                packets.append(packet["events"])
                total += packets[-1].nbytes
                if total > MOST_BYTES:
                    raise ValueError(f"its events take more than {MOST_BYTES:,} bytes; split it")
    except (RuntimeError, OverflowError, MemoryError, KeyError) as error:
        raise ValueError((str(error).splitlines() or [type(error).__name__])[0]) from error
    if not packets:
        none = np.zeros(0, np.int64)
        return Columns(none, none, none, none, 1)
    events = np.concatenate(packets)
    return Columns(events["t"].astype(np.int64), events["x"], events["y"], events["on"], 1)
