"""One ``.npz`` file a program: a JSON header and the tensors, sealed by a digest.

``header`` is a uint8 array of UTF-8 JSON: format name and version, the graph, class names, provenance, the list of
tensors, and the SHA-256 over the canonical header (digest left blank) and each tensor's name, dtype, shape, bytes.
Nothing is read through pickle.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import numpy as np

from .archive import read_arrays
from .errors import ProgramError
from .formats import Format
from .graph import Program
from .nodes import REGISTRY, Node

FORMAT_NAME = "pumice-program"
FORMAT_VERSION = 1
_HEADER = "header"
MOST_HEADER_BYTES = 1 << 22
"""In memory JSON becomes up to 25 times as large."""
MALFORMED = (KeyError, TypeError, AttributeError, IndexError, ValueError, ArithmeticError, RecursionError)
"""What nodes raise whose fields hold other things than they should."""


def save(program: Program, path: str | Path) -> str:
    """Write ``program`` to ``path`` (whole or not at all) and return its digest.

    Raises:
        ProgramError: the folder cannot be written to.
    """
    path = Path(path)
    header, tensors = _pack(program)
    header["digest"] = sealed_by(header, tensors)
    arrays: dict[str, Any] = {_HEADER: np.frombuffer(_canonical(header), dtype=np.uint8), **tensors}
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".partial-{path.stem}-", suffix=".npz", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise ProgramError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    return header["digest"]


def load(path: str | Path) -> Program:
    """Read a program, check its digest and build it, so that every node is validated again.

    Memory is taken as the file declares it, and no more than `archive.MOST_BYTES` and the header.

    Raises:
        ProgramError: missing, damaged, truncated, newer, or not a program; the sentence says which.
    """
    return _unpack(*_read(Path(path)), Path(path))


def digest(program: Program) -> str:
    """The SHA-256 that ``save`` writes: equal for equal programs."""
    header, tensors = _pack(program)
    return sealed_by(header, tensors)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        arrays = read_arrays(path)
        header = read_header(arrays.pop(_HEADER))
    except FileNotFoundError:
        raise ProgramError(f"{path} does not exist; write it with 'pumice quantize'") from None
    except IsADirectoryError:
        raise ProgramError(f"{path} is a folder; name the program file in it") from None
    except (OSError, KeyError, ValueError) as error:
        raise ProgramError(f"{path} is damaged, truncated or not a program ({error}); write it anew") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT_NAME:
        raise ProgramError(f"{path} is not a Pumice program; name a file written by 'pumice quantize'")
    version = header.get("version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ProgramError(
            f"{path} has format version {version}, this Pumice reads up to {FORMAT_VERSION}; update Pumice"
        )
    if sealed_by(header, arrays) != header.get("digest"):
        raise ProgramError(f"{path} does not match its digest: it was damaged or changed; write it anew")
    return header, arrays


def read_header(encoded: np.ndarray) -> Any:
    """The JSON of a header (bytes,) uint8.

    Raises:
        ValueError: it is too long, or not JSON.
    """
    if encoded.nbytes > MOST_HEADER_BYTES:
        raise ValueError(f"its header has {encoded.nbytes} bytes, the limit is {MOST_HEADER_BYTES}")
    try:
        header = json.loads(encoded.tobytes().decode("utf-8"), parse_constant=_refuse_constant)
        _canonical(header)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    return header


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"its header holds {name}, which JSON does not have")


def _pack(program: Program) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    tensors: dict[str, np.ndarray] = {}
    header: dict[str, Any] = {
        "format": FORMAT_NAME,
        "version": FORMAT_VERSION,
        "logits": program.logits,
        "pairing": program.pairing,
        "class_names": list(program.class_names),
        "provenance": program.provenance,
        "nodes": [pack_node(node, tensors) for node in program.nodes],
        "digest": "",
    }
    if program.step_us is not None:  # programs of before have no such entry, and keep their digest
        header["step_us"] = program.step_us
    return json.loads(_canonical(header)), tensors


def pack_node(node: Node, tensors: dict[str, np.ndarray]) -> dict[str, Any]:
    """The node as JSON data; its arrays go into ``tensors``, by ``<node>:<field>``."""
    packed: dict[str, Any] = {"type": type(node).__name__}
    for item in fields(node):
        value = getattr(node, item.name)
        if not _is_left_out(item, value):
            packed[item.name] = _pack_value(value, f"{node.name}:{item.name}", tensors)
    packed["registers"] = {what: bound for what, bound in node.bounds().items()}
    return packed


def _is_left_out(item: Field[Any], value: Any) -> bool:
    """Fields that came later have a default: programs of before have no such entry, and keep their digest."""
    return isinstance(value, str | int | np.integer) and value == item.default


def _pack_value(value: Any, key: str, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        tensors[key] = np.ascontiguousarray(value)
        return {"tensor": key}
    if isinstance(value, Format):
        return {"width": value.width, "signed": value.signed, "frac": value.frac}
    if isinstance(value, tuple):
        return [_pack_value(item, f"{key}:{index}", tensors) for index, item in enumerate(value)]
    if isinstance(value, np.integer):
        return int(value)
    return value


def _unpack(header: dict[str, Any], tensors: dict[str, np.ndarray], path: Path) -> Program:
    try:
        nodes = tuple(unpack_node(packed, tensors) for packed in header["nodes"])
        return Program(
            nodes=nodes,
            logits=header["logits"],
            pairing=header["pairing"],
            class_names=tuple(header["class_names"]),
            provenance=header["provenance"],
            step_us=header.get("step_us"),
        )
    except ProgramError:
        raise
    except MALFORMED as error:
        raise ProgramError(f"{path} holds a malformed program ({error}); write it anew") from error


def unpack_node(packed: dict[str, Any], tensors: dict[str, np.ndarray]) -> Node:
    """The node that `pack_node` packed, validated again."""
    kind = REGISTRY.get(packed["type"])
    if kind is None:
        raise ProgramError(f"node {packed.get('name')}: type {packed['type']!r} is unknown; update Pumice")
    given = (item for item in fields(kind) if item.name in packed or item.default is MISSING)
    values = {item.name: _unpack_value(packed[item.name], tensors) for item in given}
    return kind(**values)


def _unpack_value(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(value, dict):
        return tensors[value["tensor"]] if "tensor" in value else Format(**value)
    if isinstance(value, list):
        return tuple(_unpack_value(item, tensors) for item in value)
    return value


def _canonical(header: dict[str, Any]) -> bytes:
    return json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8")


def sealed_by(header: dict[str, Any], tensors: dict[str, np.ndarray]) -> str:
    """The SHA-256 over a header, its entry ``digest`` left blank, and each tensor's name, dtype, shape and bytes."""
    sha = hashlib.sha256(_canonical({**header, "digest": ""}))
    for name in sorted(tensors):
        tensor = tensors[name]
        sha.update(json.dumps([name, tensor.dtype.str, list(tensor.shape)]).encode("utf-8"))
        sha.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()
