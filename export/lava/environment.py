"""The interpreter that runs Lava: Python 3.10 with lava-nc, in a cached virtual environment of its own."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import platformdirs

from ...errors import BackendUnavailable, PumiceError


class LavaUnavailable(BackendUnavailable):
    """This machine has no interpreter that could run Lava: nothing that a setting of the run could cure."""


SETTING = "PUMICE_PYTHON310"
_PROBE = "import ensurepip, sys, venv; assert sys.version_info[:2] == (3, 10); print(sys.executable)"


def find_python() -> Path:
    """A Python 3.10 that starts: the variable PUMICE_PYTHON310, then what uv, pyenv and the path offer.

    Raises:
        LavaUnavailable: there is none.
        PumiceError: the one named by the variable does not start.
    """
    named = os.environ.get(SETTING)
    if named:
        found = _probe(named)
        if found is None:
            raise PumiceError(f"{SETTING} names {named}, which does not start as Python 3.10; correct or unset it")
        return found
    for candidate in _candidates():
        found = _probe(candidate)
        if found is not None:
            return found
    raise LavaUnavailable(
        f"Lava needs Python 3.10, and none was found; install one (uv python install 3.10) or name it in {SETTING}"
    )


def ensure_environment(requirements: str | None = None) -> Path:
    """The Python of the cached environment, built at first use (a minute, over the network; stderr says so).

    It lies under the folder named by PUMICE_CACHE, or the user's cache folder, by the digest of its requirements: lines
    as pip reads them, which name every package; those of Lava bundles if None.

    Raises:
        LavaUnavailable: no Python 3.10, or packages that cannot be installed.
        PumiceError: a cache folder that cannot be written to, or a wrong setting.
    """
    requirements = _wanted(requirements)
    target = environment_folder(requirements)
    python, cache = target / "bin" / "python", target.parent
    if _probe(str(python)) is not None:
        return python
    base = find_python()
    print(f"building the Lava environment in {cache}, once: about a minute", file=sys.stderr, flush=True)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".lava-", dir=cache) as folder:
            _build(base, Path(folder), requirements)
            _publish(Path(folder), target)
    except OSError as error:
        raise PumiceError(f"cannot write {cache}: {error.strerror or error}; name a folder in PUMICE_CACHE") from error
    return python


def environment_folder(requirements: str | None = None) -> Path:
    """Where `ensure_environment` keeps the environment of these requirements, whether it is there or not."""
    cache = Path(os.environ.get("PUMICE_CACHE") or platformdirs.user_cache_dir("pumice")).expanduser()
    return cache / f"lava-{hashlib.sha256(_wanted(requirements).encode()).hexdigest()[:12]}"


def _wanted(requirements: str | None) -> str:
    if requirements is not None:
        return requirements
    return resources.files(__package__).joinpath("requirements.txt").read_text(encoding="utf-8")


def _build(base: Path, folder: Path, requirements: str) -> None:
    fresh, listed = folder / "environment", folder / "requirements.txt"
    listed.write_text(requirements, encoding="utf-8")
    pip = [str(fresh / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", str(listed)]
    for command in ([str(base), "-m", "venv", str(fresh)], pip):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise LavaUnavailable(f"the Lava environment cannot be built: {reason}; it needs a package index once")


def _publish(folder: Path, target: Path) -> None:
    """Move the finished environment to its place; one that another process put there first serves as well."""
    if target.exists() and _probe(str(target / "bin" / "python")) is None:
        shutil.rmtree(target)  # its Python 3.10 was removed since
    try:
        (folder / "environment").rename(target)
    except OSError:
        if not target.exists():
            raise


def _candidates() -> Iterator[str]:
    uv = shutil.which("uv")
    if uv:
        found = subprocess.run([uv, "python", "find", "3.10"], capture_output=True, text=True, check=False)
        yield found.stdout.strip()
    root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
    yield from sorted(glob.glob(str(root / "versions" / "3.10.*" / "bin" / "python")), reverse=True)
    yield shutil.which("python3.10") or ""


def _probe(candidate: str) -> Path | None:
    """The interpreter if it starts, is 3.10 and can make environments (a pyenv shim may do none of these)."""
    if not candidate:
        return None
    try:
        done = subprocess.run([candidate, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(done.stdout.strip()) if done.returncode == 0 else None
