"""The plan of the house: no circles, small files, and node types known to executors alone (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import networkx
import pumice
import pytest
from pumice.program import nodes

SOURCE = Path(pumice.__file__).parent
LONGEST = 400
EXECUTORS = (
    "program/nodes",
    "program/random",
    "program/reference",
    "hw_sim/simulator/plan",
    "hw_sim/counts",
    "export/c",
    "export/onnx/integer",
    "export/onnx/qdq",
    "export/lava/runtime",
    "quantize",
)
"""Rooms that do what a node means, and may ask for its type."""
NODE_TYPES = {name for name, kind in vars(nodes).items() if isinstance(kind, type) and issubclass(kind, nodes.Node)} - {
    "Node"
}


def package_files() -> list[Path]:
    """The Python files of the package, relative to its root."""
    rooms = [path for path in SOURCE.iterdir() if (path / "__init__.py").exists()]
    found = [path for room in rooms for path in room.rglob("*.py")]
    return [path.relative_to(SOURCE) for path in (*found, *SOURCE.glob("*.py")) if "tests" not in path.parts]


FILES = package_files()


def node_type_tests(tree: ast.AST) -> list[int]:
    """Lines that ask ``isinstance`` of a node type."""
    lines = []
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "isinstance":
            asked = {part.id for part in ast.walk(call.args[1]) if isinstance(part, ast.Name)}
            asked |= {part.attr for part in ast.walk(call.args[1]) if isinstance(part, ast.Attribute)}
            if asked & NODE_TYPES:
                lines.append(call.lineno)
    return lines


def test_no_circles():
    graph = grimp.build_graph("pumice")
    imports = networkx.DiGraph()
    for module in graph.modules:
        imports.add_edges_from((module, other) for other in graph.find_modules_directly_imported_by(module))
    circles = [sorted(part) for part in networkx.strongly_connected_components(imports) if len(part) > 1]
    assert not circles


def test_no_file_is_long():
    assert len(FILES) > 200
    tests = [path.relative_to(SOURCE) for path in (SOURCE / "tests").rglob("*.py")]
    assert len(tests) > 200
    long = {str(path): len((SOURCE / path).read_text().splitlines()) for path in (*FILES, *tests)}
    assert not {path: lines for path, lines in long.items() if lines > LONGEST}


def test_the_search_for_type_tests_finds_them():
    assert node_type_tests(ast.parse("x = isinstance(node, (Linear, int))\ny = isinstance(x, int)")) == [1]
    assert node_type_tests(ast.parse("isinstance(node, nodes.DiagonalSSM)")) == [1]


@pytest.mark.parametrize("path", [p for p in FILES if not str(p).startswith(EXECUTORS)], ids=str)
def test_consumers_do_not_ask_for_node_types(path):
    assert node_type_tests(ast.parse((SOURCE / path).read_text())) == []
