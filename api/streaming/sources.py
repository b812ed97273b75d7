"""Where a stream's bytes come from: a file, standard input, a file that grows, a socket on this machine."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ...errors import PumiceError

CHUNK = 1 << 16
WAIT_S = 0.05
"""Between looks at a file that grows."""


def read_file(path: Path, follow: bool, idle_s: float | None) -> Iterator[bytes]:
    """The bytes of a file; with ``follow`` also those that are appended, until ``idle_s`` seconds bring none.

    Raises:
        PumiceError: it cannot be opened, or became shorter.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise PumiceError(f"{path} cannot be opened ({error.strerror}); name a file, -, or udp:PORT") from None
    with file:
        if not path.is_file() and not path.is_fifo():
            raise PumiceError(f"{path} is no file; name a file, -, or udp:PORT")
        last = time.monotonic()
        while True:
            if chunk := file.read(CHUNK):
                last = time.monotonic()
                yield chunk
            elif not follow or (idle_s is not None and time.monotonic() - last > idle_s):
                return
            else:
                if os.fstat(file.fileno()).st_size < file.tell():
                    raise PumiceError(f"{path} became shorter while it was read; start the stream anew")
                time.sleep(WAIT_S)


def read_stdin() -> Iterator[bytes]:
    """The bytes of standard input, as soon as they are there."""
    while chunk := os.read(sys.stdin.fileno(), CHUNK):
        yield chunk


def read_udp(address: str, idle_s: float | None) -> Iterator[bytes]:
    """The datagrams that arrive at ``[HOST:]PORT``, each of whole lines; without a host, from this machine alone.

    Raises:
        PumiceError: no such address, one of another machine, or one that is taken.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise PumiceError(f"input=udp:{address} names no port; give input=udp:PORT, of 1 to 65535")
    try:
        kind = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise PumiceError(f"input=udp:{address}: {host} is no address; give that of an interface as numbers") from None
    with socket.socket(kind, socket.SOCK_DGRAM) as listening:
        try:
            listening.bind((host, int(port)))
        except OSError as error:
            raise PumiceError(
                f"input=udp:{address} cannot be listened at ({error.strerror}); choose another port of this machine"
            ) from None
        last = time.monotonic()
        while True:
            if select.select([listening], [], [], 0.2)[0]:
                last = time.monotonic()
                datagram = listening.recv(CHUNK)
                yield datagram if datagram.endswith(b"\n") else datagram + b"\n"
            elif idle_s is not None and time.monotonic() - last > idle_s:
                return
