"""States of streams in files: an ``.npz`` of numbers, sealed by a digest, that belongs to one program or model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...archives import save_arrays
from ...errors import PumiceError
from ...program.archive import read_arrays
from ...program.storage import read_header, sealed_by

FORMAT, VERSION, HEADER = "pumice-stream", 1, "header"
MOST_BYTES = 1 << 28
LARGEST = 1 << 62
"""Of the numbers in a header."""


def save_state(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> None:
    """Write a state, whole or not at all.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    kept = {"format": FORMAT, "version": VERSION, **header, "digest": ""}
    kept["digest"] = sealed_by(kept, dict(arrays))
    encoded = np.frombuffer(json.dumps(kept, sort_keys=True).encode(), dtype=np.uint8)
    save_arrays(path, {HEADER: encoded, **arrays})


def load_state(path: Path, identity: str) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The header and the arrays of a state.

    Args:
        path: of the file.
        identity: of what is to go on.

    Raises:
        PumiceError: it is missing, damaged, newer, no state, or that of another program or model.
    """
    try:
        arrays = read_arrays(path, MOST_BYTES)
        header = read_header(arrays.pop(HEADER))
    except (OSError, KeyError, ValueError) as error:
        raise PumiceError(
            f"{path} is no state of a stream, or damaged ({error}); name a new file by state=... to start anew"
        ) from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise PumiceError(f"{path} is no state of a stream; name another file by state=...")
    if not isinstance(header.get("version"), int) or header["version"] > VERSION:
        raise PumiceError(f"{path} has version {header.get('version')}, not {VERSION} or less; update Pumice")
    if header.get("digest") != sealed_by(header, arrays):
        raise PumiceError(
            f"{path} does not match its digest: it was damaged or changed; name a new file by state=... to start anew"
        )
    if header.get("identity") != identity:
        raise PumiceError(
            f"{path} is the state of another program, read-out or version of Pumice; name the one that it belongs to, "
            "or name a new file by state=... to start anew"
        )
    numbers = header.get("numbers")
    if not isinstance(numbers, dict) or not all(
        each is None or (isinstance(each, int) and abs(each) < LARGEST) for each in numbers.values()
    ):
        raise PumiceError(f"{path} is damaged: its numbers are none; name a new file by state=... to start anew")
    return header, arrays
