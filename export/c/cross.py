"""The same files for microcontrollers, compiled by the clang inside the package ziglang: bytes by section."""

from __future__ import annotations

import shlex
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...errors import BackendUnavailable, PumiceError
from .compiler import STRICT
from .generated import Generated
from .source import sources

_THUMB, _RISCV = "thumb-freestanding-eabi", "riscv32-freestanding-none"
TARGETS = {
    "cortex-m0": (_THUMB, "cortex_m0"),
    "cortex-m4": (_THUMB, "cortex_m4"),
    "cortex-m33": (_THUMB, "cortex_m33"),
    "cortex-m55": (_THUMB, "cortex_m55"),
    "rv32imc": (_RISCV, "generic_rv32+m+c"),
}
"""Machine and processor by name."""

_ALLOCATED, _WRITTEN, _EXECUTED = 2, 1, 4
_HEADER, _SECTION = struct.Struct("<16x2HI3II6H"), struct.Struct("<10I")


@dataclass(frozen=True)
class Sections:
    """Bytes of a compiled program on a machine.

    Attributes:
        code: functions, in flash.
        constants: weights, tables and names, in flash.
        ram: variables of the file itself; the state is the caller's.
    """

    code: int
    constants: int
    ram: int


def check_target(name: str) -> str:
    """One of ``TARGETS``.

    Raises:
        PumiceError: there is no such target.
    """
    if name not in TARGETS:
        raise PumiceError(f"c.targets: {name!r:.60} is unknown; choose some of: {', '.join(TARGETS)}")
    return name


def cross_compiler(target: str) -> list[str]:
    """The command of a C compiler for a target.

    Raises:
        PumiceError: an unknown target.
        BackendUnavailable: ziglang is not installed.
    """
    machine, processor = TARGETS[check_target(target)]
    if find_spec("ziglang") is None:
        raise BackendUnavailable("sizes on other machines need the package ziglang; pip install 'pumice[cross]'")
    return [sys.executable, "-m", "ziglang", "cc", "-target", machine, f"-mcpu={processor}"]


def section_bytes(generated: Generated, target: str, flags: Sequence[str] = ("-Os",)) -> Sections:
    """Compile a program for a target and measure it.

    Raises:
        PumiceError: an unknown target, or a compiler that refuses the files.
        BackendUnavailable: ziglang is not installed.
    """
    command = [*cross_compiler(target), *STRICT, *flags, "-c", f"{generated.name}.c", "-o", "program.o"]
    with tempfile.TemporaryDirectory(prefix="pumice-c-") as temporary:
        folder = Path(temporary)
        for name, text in sources(generated).items():
            (folder / name).write_text(text, encoding="ascii")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise PumiceError(f"{shlex.join(command)} fails: {said[:1]}; report this with the program")
        return read_sections((folder / "program.o").read_bytes())


def read_sections(content: bytes) -> Sections:
    """Sum the sections of a 32-bit little-endian ELF object by what they are for."""
    _, _, _, _, _, start, _, _, _, _, size, count, _ = _HEADER.unpack_from(content)
    sums = {"code": 0, "constants": 0, "ram": 0}
    for number in range(count):
        _, kind, flags, _, _, length, *_ = _SECTION.unpack_from(content, start + number * size)
        if not flags & _ALLOCATED or kind > 8 or kind == 7:  # tables of unwinding and notes are left out of images
            continue
        sums["code" if flags & _EXECUTED else "ram" if flags & _WRITTEN else "constants"] += length
    return Sections(**sums)
