"""The cache of compiled code must notice every change of what the machine is made of."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pumice.hw_sim.simulator.machine as machine
from pumice.hw_sim.simulator import compiled

FOLDER = Path(sys.modules["pumice.hw_sim.simulator.compiled"].__file__).parent


def imported_by(source: Path) -> set[str]:
    """Files of the package that a source imports relatively."""
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = source.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            names = [base.with_suffix(".py"), *(base / f"{alias.name}.py" for alias in node.names)]
            found |= {str(path.relative_to(FOLDER)) for path in names if path.is_file()}
    return found


def test_the_digest_covers_everything_that_the_machine_is_made_of():
    reached, waiting = set(), {"machine.py"}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= imported_by(FOLDER / name) - reached
    assert reached == set(compiled._SOURCES)


def test_the_digest_is_part_of_every_cached_name():
    assert machine.feed.py_func.__qualname__.endswith(compiled.DIGEST)
    assert machine.feed.py_func.__qualname__ != machine.execute.py_func.__qualname__


def test_another_source_has_another_digest(monkeypatch, tmp_path):
    for name in compiled._SOURCES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    assert compiled._digest() == compiled.DIGEST
    (tmp_path / "opcodes.py").write_text("changed")
    assert compiled._digest() != compiled.DIGEST
