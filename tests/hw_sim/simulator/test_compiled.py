"""The cache of compiled code must notice every change of what the machine is made of."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pumice.hw_sim.simulator.machine as machine
from pumice.hw_sim.simulator import compiled
from pumice.hw_sim.simulator.operations.table import FUNCTIONS

FOLDER = Path(sys.modules["pumice.hw_sim.simulator.compiled"].__file__).parent


def imported_by(source: Path) -> set[str]:
    """Files of the simulator that a source imports relatively."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = source.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            within = ["__init__", *(alias.name for alias in node.names)]
            files = [base.with_suffix(".py"), *(base / f"{name}.py" for name in within)]
            found |= {str(file.relative_to(FOLDER)) for file in files if file.is_file() and FOLDER in file.parents}
    return found


def test_the_digest_covers_everything_that_the_machine_is_made_of():
    reached, waiting = set(), {"machine.py", "operations/table.py"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= imported_by(FOLDER / name) - reached
    assert reached == set(compiled._SOURCES)


def test_the_digest_is_part_of_every_cached_name():
    assert machine.feed.py_func.__qualname__.endswith(compiled.DIGEST)
    names = {function.py_func.__qualname__ for function in FUNCTIONS.values()}
    assert len(names) == len(FUNCTIONS)
    assert all(name.endswith(compiled.DIGEST) for name in names)


def test_another_source_has_another_digest(monkeypatch, tmp_path):
    for name in compiled._SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    assert compiled._digest() == compiled.DIGEST
    (tmp_path / "opcodes.py").write_text("changed")
    assert compiled._digest() != compiled.DIGEST
