"""Tensors of a TorchScript archive, by an interpreter of its own for the few operations that state takes.

torch refuses such archives where it may not run code, and its own loader compiles what lies in them. Here nothing but
names, small integers and the bytes of tensors is read; classes become plain mappings of their attributes.
"""

from __future__ import annotations

import pickletools
import zipfile
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program.archive import open_checked

MOST_BYTES, MOST_STATE_BYTES, MOST_OPERATIONS, MOST_DEPTH = 1 << 26, 1 << 20, 1 << 17, 32
STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "LongStorage": np.dtype("<i8"),
}
NUMBERS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


@dataclass(frozen=True)
class _Name:
    module: str
    name: str


@dataclass
class _Module:
    state: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    numel: int


def is_script(path: Path) -> bool:
    """Whether ``path`` is a zip archive of TorchScript.

    Raises:
        OSError, ValueError, zipfile.BadZipFile: it cannot be opened, or is damaged.
    """
    with path.open("rb") as file, open_checked(file, MOST_BYTES) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_script(path: Path) -> dict[str, Tensor]:
    """The tensors of the archive at ``path`` by the dotted names of its modules.

    Raises:
        OSError, ValueError, zipfile.BadZipFile, or others of pickletools: it cannot be read, is damaged or too large,
            or its state takes more than modules of tensors and plain data.
    """
    with path.open("rb") as file, open_checked(file, MOST_BYTES) as archive:
        states = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(states) != 1 or archive.getinfo(states[0]).file_size > MOST_STATE_BYTES:
            raise ValueError("it has no state of a module, or more than a small network's")
        root = states[0].removesuffix("data.pkl")
        orders = [name for name in archive.namelist() if name == f"{root}byteorder"]
        if orders and archive.read(orders[0]) != b"little":
            raise ValueError("its numbers are not little-endian")
        found = _Machine(_Tensors(archive, root)).run(archive.read(states[0]))
    return _collected(found)


class _Machine:
    """A stack machine for protocol 2, of the operations that TorchScript writes."""

    def __init__(self, tensors: _Tensors) -> None:
        self.tensors = tensors
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number > MOST_OPERATIONS:
                raise ValueError("its state has more entries than a small network's")
            if opcode.name == "STOP":
                return self.stack.pop()
            self.step(opcode.name, argument)
        raise ValueError("its state is cut off")

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in NUMBERS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "GLOBAL":
            stack.append(_Name(*argument.split(" ", 1)))
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}[name]())
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "TUPLE":
            stack.append(tuple(self.marked()))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(tuple(self.taken(int(name[-1]))))
        elif name in ("APPENDS", "APPEND"):
            values = self.marked() if name == "APPENDS" else self.taken(1)
            _of(list, stack[-1]).extend(values)
        elif name in ("SETITEMS", "SETITEM"):
            values = self.marked() if name == "SETITEMS" else self.taken(2)
            _of(dict, stack[-1]).update(zip(values[::2], values[1::2], strict=True))
        elif name == "NEWOBJ":
            kind, arguments = self.taken(2)
            if not _of(_Name, kind).module.startswith("__torch__") or arguments != ():
                raise ValueError(f"it makes an object of {kind.module}.{kind.name}")
            stack.append(_Module())
        elif name == "BUILD":
            (state,) = self.taken(1)
            _of(_Module, stack[-1]).state.update(_of(dict, state))
        elif name == "BINPERSID":
            stack.append(_storage(*self.taken(1)))
        elif name == "REDUCE":
            stack.append(self.called(*self.taken(2)))
        elif name != "PROTO":
            raise ValueError(f"its state takes the operation {name}")

    def called(self, function: Any, arguments: Any) -> Any:
        """The three kinds of calls that state takes, none of which runs anything."""
        name, arguments = _of(_Name, function), _of(tuple, arguments)
        if (name.module, name.name) == ("collections", "OrderedDict") and arguments == ():
            return {}
        if (name.module, name.name) == ("torch._utils", "_rebuild_tensor_v2") and len(arguments) >= 4:
            return self.tensors.read(*arguments[:4])
        if name.module == "torch.jit._pickle" and name.name in LISTS and len(arguments) == 1:
            return list(_of(list, arguments[0]))
        raise ValueError(f"its state calls {name.module}.{name.name}")

    def marked(self) -> list[Any]:
        """What lies above the last mark, taken off."""
        return self.taken(len(self.stack) - self.marks.pop())

    def taken(self, count: int) -> list[Any]:
        """The topmost values, taken off."""
        at = len(self.stack) - count
        if at < (self.marks[-1] if self.marks else 0):
            raise ValueError("its state is damaged")
        values = self.stack[at:]
        del self.stack[at:]
        return values


def _of(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError("its state is damaged")
    return value


def _storage(identity: Any) -> _Storage:
    word, kind, key, _, numel = _of(tuple, identity)
    if word != "storage" or not isinstance(kind, _Name) or kind.module != "torch" or kind.name not in STORAGES:
        raise ValueError("it holds a tensor of another type than float32, float64 and int64")
    if not (isinstance(key, str) and key.isascii() and key.isdigit() and isinstance(numel, int)):
        raise ValueError("its state is damaged")
    return _Storage(key, STORAGES[kind.name], numel)


class _Tensors:
    """Contiguous tensors of an archive, of sizes that their bytes fill."""

    most = MOST_BYTES

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self.archive = archive
        self.root = root
        self.left = self.most

    def read(self, storage: Any, offset: Any, shape: Any, stride: Any) -> Tensor:
        storage, sizes = _of(_Storage, storage), (*_of(tuple, shape), *_of(tuple, stride), offset)
        if any(type(size) is not int or size < 0 for size in sizes) or len(shape) > 8:
            raise ValueError("a tensor's sizes are damaged")
        member = self.archive.getinfo(f"{self.root}data/{storage.key}")
        width, values = storage.dtype.itemsize, prod(shape)
        if member.file_size != storage.numel * width or offset + values > storage.numel:
            raise ValueError(f"a tensor of shape {shape} is larger than its data")
        expected = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
        if any(size > 1 and found != wanted for size, found, wanted in zip(shape, stride, expected, strict=True)):
            raise ValueError(f"a tensor of shape {shape} is not contiguous")
        self.left -= member.file_size
        if self.left < 0:
            raise ValueError("its tensors share data many times over")
        content = self.archive.read(member)
        return torch.from_numpy(np.frombuffer(content, storage.dtype, values, offset * width).reshape(shape).copy())


def _collected(root: Any) -> dict[str, Tensor]:
    """Tensors by dotted name. Modules may share modules, so what is looked at is counted."""
    tensors: dict[str, Tensor] = {}
    waiting, looked_at = [("", root, 0)], 0
    while waiting:
        prefix, value, depth = waiting.pop()
        looked_at += 1
        if depth > MOST_DEPTH or looked_at > MOST_OPERATIONS:
            raise ValueError("its modules are nested too deeply")
        if isinstance(value, Tensor):
            tensors[prefix] = value
        elif isinstance(value, _Module):
            named = (f"{prefix}.{name}" if prefix else str(name) for name in value.state)
            waiting += [(name, entry, depth + 1) for name, entry in zip(named, value.state.values(), strict=True)]
    return tensors
