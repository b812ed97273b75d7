"""Plant small faults one at a time in a copy of the package, and see which tests notice (``make mutation``).

The tests of all chosen faults run first on the unchanged copy: what fails there notices nothing. An interrupted run
goes on where it was; a fault is tried again when its entry, its file or the files of its tests have changed.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))
from catalogue import FOLDER, Fault, key, problems, read_faults

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "runs", "build", "site")
COMPILERS = re.compile(r"@(numba\.)?njit|@compile_kernel|@compiled|partial\(compile_kernel")
"""Files in which numba compiles. Its cache sees changes of a function's own file, not of what that calls elsewhere."""
WARM = "numpy scipy.stats h5py torch numba lightning.pytorch torchmetrics.classification brevitas.nn onnx onnxruntime "
WARM += "brevitas.quant.fixed_point safetensors.torch hydra rich hypothesis _hypothesis_pytestplugin pytest"
"""What most tests import, and takes seconds."""
LEAST = 0.95


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    Attributes:
        state: ``noticed``, ``survived``, ``equivalent``, or ``broken``: the tests themselves did not run.
        by: the test that noticed, or why not.
        seconds: it took.
    """

    state: str
    by: str
    seconds: float


class Copy:
    """A copy of the package in a temporary folder, which faults are planted in."""

    def __init__(self, root: Path, folder: Path, warm: Sequence[str]) -> None:
        self.folder = folder
        self.package = folder / "pumice"
        self.cache = folder / "compiled"
        shutil.copytree(root, self.package, ignore=LEFT_OUT)
        for path in (path for top in root.glob("[!.]*") for path in top.rglob("__pycache__/*.nb[ic]")):
            kept = kept_in(self.cache, self.package / path.parents[1].relative_to(root) / "any.py")
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept)
        self.warm = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "warm.py"), *warm],
            cwd=self.package,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": str(folder)},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.running = 0

    def __enter__(self) -> Copy:
        return self

    @contextlib.contextmanager
    def planted(self, fault: Fault) -> Iterator[Path]:
        """The fault is in its file, and a cache of compiled code that does not hide it is given."""
        path = self.package / fault.file
        text, times = path.read_text(), path.stat()
        cache = self.cache if not COMPILERS.search(text) else self._cache_without_callers(path)
        try:
            path.write_text(fault.applied(text))
            # Bytecode is told apart by size and whole seconds, and a file may have been written in this one.
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 2_000_000_000))
            yield cache
        finally:
            path.write_text(text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # bytecode and compiled code are valid again
            shutil.rmtree(self.folder / "compiled-anew", ignore_errors=True)

    def _cache_without_callers(self, path: Path) -> Path:
        """A copy of the cache, without what files have compiled that import from ``path``."""
        imports = re.compile(rf"^from \S*\b{path.stem} import", re.MULTILINE)
        callers = {each for each in self.package.rglob("*.py") if imports.search(each.read_text())}
        stale = {(kept_in(self.cache, each), f"{each.stem}.") for each in callers}

        def left_out(folder: str, names: list[str]) -> list[str]:
            return [name for name in names if any(name.startswith(stem) for at, stem in stale if at == Path(folder))]

        self.cache.mkdir(exist_ok=True)
        return Path(shutil.copytree(self.cache, self.folder / "compiled-anew", ignore=left_out))

    def run(self, tests: Sequence[str], cache: Path, limit: float, planted: bool) -> tuple[int, str]:
        """The exit code and the output of pytest; -1 when it had to be stopped. It ends at the first fault noticed."""
        environment = {
            "NUMBA_CACHE_DIR": str(cache),
            "HYPOTHESIS_STORAGE_DIRECTORY": tempfile.mkdtemp(dir=self.folder),
            "PYTHONDONTWRITEBYTECODE": "1" if planted else "",
        }
        output = self.folder / "output"
        arguments = [
            "-q",
            "-m",
            "not slow",
            "-p",
            "no:cacheprovider",
            f"--basetemp={self.folder / 'tests'}",
            *["-x"] * planted,
            *tests,
        ]
        request = {"arguments": arguments, "environment": environment, "output": str(output)}
        print(json.dumps(request), file=self.warm.stdin, flush=True)
        self.running = int(self._answer(None))
        code = self._answer(limit)
        if not code:
            os.killpg(self.running, signal.SIGKILL)
            self._answer(None)
        self.running = 0
        return (int(code), output.read_text(errors="replace")) if code else (-1, "")

    def _answer(self, limit: float | None) -> str:
        """The next line of the warm process; empty where it took longer than ``limit`` seconds."""
        assert self.warm.stdout is not None
        if not select.select([self.warm.stdout], [], [], limit)[0]:
            return ""
        line = self.warm.stdout.readline()
        if not line:
            raise SystemExit("the process that runs the tests has ended")
        return line

    def __exit__(self, *error: object) -> None:
        if self.running:
            os.killpg(self.running, signal.SIGKILL)
        self.warm.kill()
        self.warm.wait()


def kept_in(cache: Path, source: Path) -> Path:
    """The folder in which numba keeps what it compiles of a source."""
    folder = str(source.parent)
    return cache / f"{source.parent.name}_{hashlib.sha1(folder.encode()).hexdigest()}"


def try_fault(copy: Copy, fault: Fault, tests: Sequence[str], broken: set[str], limit: float) -> Outcome:
    """Plant a fault and run its tests."""
    if fault.equivalent is not None:
        return Outcome("equivalent", fault.equivalent, 0.0)
    if failing := sorted(broken.intersection(tests)):
        return Outcome("broken", f"{failing[0]} fails without the fault", 0.0)
    start = time.monotonic()
    with copy.planted(fault) as cache:
        code, output = copy.run(tests, cache, limit, planted=True)
    seconds = time.monotonic() - start
    if code == 0:
        return Outcome("survived", "", seconds)
    if code in (4, 5):
        return Outcome("broken", f"pytest found no test: {output.splitlines()[-1]}", seconds)
    named = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    by = named.group(1) if named else ("stopped after its time" if code == -1 else f"pytest ended with {code}")
    return Outcome("noticed", by.removeprefix("tests/"), seconds)


def failing_tests(copy: Copy, tests: Sequence[str], limit: float) -> set[str]:
    """Which of the files and node ids fail on the unchanged copy."""
    code, output = copy.run(tests, copy.cache, limit, planted=False)
    if code == 0:
        return set()
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    if not failed:
        raise SystemExit(f"the tests do not run on the unchanged copy:\n{output[-2000:]}")
    return {test for test in tests for node in failed if node.startswith(test)}


def show(console: Console, outcomes: dict[Fault, Outcome]) -> float:
    """Print the table; the noticed part of the faults that can be."""
    table = Table("room", "fault", "noticed by", "seconds")
    for fault, outcome in outcomes.items():
        said = outcome.by if outcome.state == "noticed" else f"{outcome.state.upper()} {outcome.by}"
        table.add_row(fault.room, fault.name, said, f"{outcome.seconds:.0f}")
    console.print(table)
    states = [outcome.state for outcome in outcomes.values()]
    real = len(states) - states.count("equivalent")
    console.print(f"{states.count('noticed')} of {real} noticed, {states.count('equivalent')} equivalent")
    return states.count("noticed") / real if real else 1.0


def chosen(arguments: argparse.Namespace) -> list[Fault]:
    """The faults that the options ask for."""
    faults = read_faults(arguments.faults)
    if arguments.room:
        faults = [fault for fault in faults if fault.room in arguments.room]
    faults = [fault for fault in faults if re.search(arguments.name, fault.name)]
    if not faults:
        raise SystemExit("no fault has such a room and name")
    if wrong := problems(faults, arguments.root):
        raise SystemExit("\n".join(wrong))
    return faults


def options(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--room", action="append", help="faults of this room (may be given several times)")
    parser.add_argument("--name", default="", help="faults whose name this regular expression finds")
    parser.add_argument("--all-tests", action="store_true", help="the whole suite, not the tests named by each fault")
    parser.add_argument("--anew", action="store_true", help="forget earlier results")
    parser.add_argument("--timeout", type=float, default=600, help="seconds of one fault")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutation.json")
    parser.add_argument("--warm", default=WARM, help="packages that are imported once, before all tests")
    parser.add_argument("--faults", type=Path, default=FOLDER, help=argparse.SUPPRESS)
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run, print the table, and say by the exit code whether enough was noticed."""
    arguments = options(words)
    console, faults = Console(), chosen(arguments)
    tests = {fault: ("tests",) if arguments.all_tests else fault.tests for fault in faults}
    keys = {fault: f"{key(fault, arguments.root)}{'-all' * arguments.all_tests}" for fault in faults}
    kept: dict[str, Any] = {}
    if arguments.results.exists() and not arguments.anew:
        kept = json.loads(arguments.results.read_text())
    waiting = [fault for fault in faults if keys[fault] not in kept]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mutation-", ignore_cleanup_errors=True))
        copy = stack.enter_context(Copy(arguments.root, Path(folder), arguments.warm.split()))
        needed = sorted({test for fault in waiting if fault.equivalent is None for test in tests[fault]})
        limit = arguments.timeout * max(1, len(needed))
        broken = failing_tests(copy, needed, limit) if needed else set()
        for fault in waiting:
            outcome = try_fault(copy, fault, tests[fault], broken, arguments.timeout)
            console.print(f"{fault.room}: {fault.name}: {outcome.state} {outcome.by}", highlight=False, soft_wrap=True)
            if outcome.state != "broken":
                kept[keys[fault]] = {"room": fault.room, "name": fault.name, **vars(outcome)}
                write(arguments.results, kept)
            else:
                kept.pop(keys[fault], None)
                console.print(f"  {outcome.by}")
    missing = Outcome("broken", "see above", 0.0)
    outcomes = {fault: read(kept[keys[fault]]) if keys[fault] in kept else missing for fault in faults}
    return int(show(console, outcomes) < LEAST)


def read(entry: dict[str, Any]) -> Outcome:
    """An outcome of the results' file."""
    return Outcome(entry["state"], entry["by"], entry["seconds"])


def write(path: Path, kept: dict[str, Any]) -> None:
    """The results' file, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(kept, indent=1))
    unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
