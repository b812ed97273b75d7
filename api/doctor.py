"""What this machine has and lacks for each part of Pumice."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from ..errors import BackendUnavailable, PumiceError
from ..export.c.compiler import find_compiler
from ..export.lava.environment import environment_folder, find_python
from ..train.cores import usable_cores
from ..train.data.spoken_digits.archive import cache_folder
from ..version import __version__

OK, LACKING, FAULTY = "ok", "lacking", "faulty"
PACKAGES = ("torch", "lightning", "brevitas", "numpy", "numba", "llvmlite", "onnx", "onnxruntime", "tonic", "h5py")
VECTORS = ("avx2", "avx512f", "avx512vnni", "avxvnni", "neon", "dotprod", "sve")
"""Features of processors that the simulator's products profit from, as LLVM names them."""
LITTLE = 5 << 30
"""Bytes of free disk that the environments, the packages and a few runs take."""


@dataclass(frozen=True)
class Finding:
    """One thing about the machine.

    Attributes:
        area: what it belongs to.
        what: its name.
        found: a version, a path or a size.
        state: ``ok``, ``lacking`` (something optional) or ``faulty`` (something that Pumice needs).
        cure: what to do, or empty.
    """

    area: str
    what: str
    found: str
    state: str = OK
    cure: str = ""


def examine() -> list[Finding]:
    """Look at interpreter, packages, processor, compilers, Lava, extras, caches and disk; nothing is built."""
    return [*_python(), *_packages(), *_processor(), *_targets(), *_extras(), *_places()]


def _python() -> Iterator[Finding]:
    yield Finding("pumice", "version", f"{__version__} in {Path(__file__).parents[1]}")
    found = f"{platform.python_version()} ({sys.executable})"
    old = sys.version_info < (3, 11)
    yield Finding("pumice", "Python", found, FAULTY if old else OK, "install Python 3.11 or newer" if old else "")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding("packages", name, metadata.version(name))
        except metadata.PackageNotFoundError:
            yield Finding("packages", name, "not installed", FAULTY, f"pip install {name}")


def _processor() -> Iterator[Finding]:
    from llvmlite import binding

    cores = usable_cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Finding("machine", "processor", f"{platform.machine()}, {binding.get_host_cpu_name()}, {cores} cores usable")
    features = binding.get_host_cpu_features()
    known = [name for name in VECTORS if features.get(name)]
    yield Finding("machine", "vector units", ", ".join(known) or "none known", OK if known else LACKING)
    yield Finding("machine", "memory", _bytes(memory))
    if util.find_spec("torch") is not None:
        from torch import cuda

        count = cuda.device_count()
        yield Finding("machine", "GPUs", f"{count}" if count else "none; everything runs on the CPU")


def _targets() -> Iterator[Finding]:
    compiled = any((Path(__file__).parents[1] / "hw_sim").rglob("*.nbi"))
    cache = os.environ.get("NUMBA_CACHE_DIR")
    told = "compiled" if compiled else f"kept in {cache}" if cache else "not yet: the first run takes a minute for it"
    yield Finding("targets", "simulator", told)
    try:
        yield Finding("targets", "C compiler", " ".join(find_compiler()))
    except (BackendUnavailable, PumiceError) as error:
        yield Finding("targets", "C compiler", "none", LACKING, str(error))
    try:
        yield Finding("targets", "Python 3.10 for Lava", str(find_python()))
    except BackendUnavailable as error:
        yield Finding("targets", "Python 3.10 for Lava", "none", LACKING, str(error))
    except PumiceError as error:
        yield Finding("targets", "Python 3.10 for Lava", "wrong", FAULTY, str(error))
    folder = environment_folder()
    built = (folder / "bin" / "python").exists()
    yield Finding(
        "targets", "Lava environment", str(folder) if built else "not yet: built when Lava is first asked for"
    )


def _extras() -> Iterator[Finding]:
    """The optional dependencies, each extra with those of its packages that are missing."""
    wanted: dict[str, list[str]] = {}
    for line in metadata.requires("pumice") or []:
        named = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        if named and named[1] not in ("test", "docs", "dev"):
            wanted.setdefault(named[1], []).append(re.split(r"[^\w.-]", line, maxsplit=1)[0])
    for extra, names in wanted.items():
        missing = [name for name in names if not _is_installed(name)]
        cure = f"pip install 'pumice[{extra}]'" if missing else ""
        found = f"{', '.join(missing)} not installed" if missing else ", ".join(names)
        yield Finding("extras", extra, found, LACKING if missing else OK, cure)


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _places() -> Iterator[Finding]:
    for what, folder, variable in (
        ("cache", cache_folder(), "; name another folder in PUMICE_CACHE"),
        ("this folder, for runs", Path.cwd(), ""),
    ):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            yield Finding("places", what, f"{folder}, which cannot be written to", FAULTY, f"allow it{variable}")
            continue
        cure = f"free some{variable}" if free < LITTLE else ""
        yield Finding("places", what, f"{folder}, {_bytes(free)} free", LACKING if cure else OK, cure)


def _bytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"
