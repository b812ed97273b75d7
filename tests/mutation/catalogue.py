"""The planted faults: what `faults/*.toml` holds, and whether each still applies to the source."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import tomllib

FOLDER = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Fault:
    """A small mistake, as a careless hand makes it.

    Attributes:
        room: the catalogue's file.
        name: unique; what is wrong.
        file: relative to the package's root.
        before: text that occurs exactly once in it.
        after: what stands there instead.
        tests: files and node ids that should notice.
        equivalent: why nothing can notice, for a change that changes nothing.
    """

    room: str
    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    equivalent: str | None = None

    def applied(self, text: str) -> str:
        """The text of the file with the fault in it."""
        if (times := text.count(self.before)) != 1:
            raise ValueError(f"its text occurs {times} times in {self.file}")
        if self.before == self.after:
            raise ValueError("it changes nothing")
        return text.replace(self.before, self.after)


def read_faults(folder: Path = FOLDER) -> list[Fault]:
    """All faults, by room and in the order of the files."""
    return [
        Fault(path.stem, **{**entry, "tests": tuple(entry["tests"])})
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text())["fault"]
    ]


def problems(faults: list[Fault], root: Path) -> list[str]:
    """What is wrong with the catalogue, a sentence each."""
    found = [f"{name} is there {times} times" for name, times in Counter(f.name for f in faults).items() if times > 1]
    for fault in faults:
        try:
            changed = fault.applied((root / fault.file).read_text())
            if fault.file.endswith(".py"):
                ast.parse(changed)
        except (OSError, ValueError, SyntaxError) as error:
            found.append(f"{fault.room}: {fault.name}: {error}")
        if not fault.tests and fault.equivalent is None:
            found.append(f"{fault.room}: {fault.name}: no test should notice")
        found += [f"{fault.room}: {fault.name}: no test {test}" for test in fault.tests if not _exists(test, root)]
    return found


def _exists(test: str, root: Path) -> bool:
    """Whether a file, or a function in it, is there."""
    name, _, function = test.partition("::")
    path = root / name
    if not function:
        return path.exists()
    wanted = function.split("::")[-1].partition("[")[0]
    found = ast.walk(ast.parse(path.read_text())) if path.is_file() else ()
    return any(isinstance(node, ast.FunctionDef) and node.name == wanted for node in found)


def key(fault: Fault, root: Path) -> str:
    """Changes when the fault, its file, or the files of its tests do."""
    sha = hashlib.sha256(repr(fault).encode())
    files = {fault.file, *(test.partition("::")[0] for test in fault.tests)}
    for name in sorted(files):
        path = root / name
        sha.update(b"".join(p.read_bytes() for p in sorted(path.rglob("*.py"))) if path.is_dir() else path.read_bytes())
    return sha.hexdigest()[:16]
