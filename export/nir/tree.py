"""A NIR file as plain names and arrays. Nothing in it is trusted: `hdf5.open_hdf5` looks before the library reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...hdf5 import Group, open_hdf5

MOST_NODES = 4096
DEEPEST = 8
"""Groups within groups."""


@dataclass(frozen=True, eq=False)
class Node:
    """One node: its name, its type, and its entries: arrays, texts, groups of them."""

    name: str
    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes by name, edges from name to name, and metadata of the file."""

    path: Path
    nodes: dict[str, Node]
    edges: tuple[tuple[str, str], ...]
    metadata: dict[str, Any] = field(default_factory=dict)

    def refusal(self, node: str, sentence: str) -> PumiceError:
        """The error that names file and node."""
        return PumiceError(f"{self.path}: node {node} {sentence}")


def read_graph(path: str | Path) -> Graph:
    """The graph of a file. Graphs within it (a layer and its recurrence) are dissolved, their nodes named ``a.b``.

    Raises:
        PumiceError: not such a file, or a damaged one.
    """
    path = Path(path)
    try:
        with open_hdf5(path) as file:
            found = _entries(file, 0)
    except FileNotFoundError:
        raise PumiceError(f"{path} does not exist; name a .nir file") from None
    except (OSError, ValueError) as error:
        raise PumiceError(f"{path} is not a NIR file, or damaged ({error}); write it anew") from error
    root = found.get("node")
    if not isinstance(root, dict) or root.get("type") != "NIRGraph":
        raise PumiceError(f"{path} holds no NIR graph; write it with nir.write, or name another file")
    nodes, edges = _flat(path, root, "")
    if len(nodes) > MOST_NODES:
        raise PumiceError(f"{path} holds {len(nodes):,} nodes, the limit is {MOST_NODES:,}; export a smaller network")
    metadata = root.get("metadata", {})
    return Graph(path, nodes, tuple(dict.fromkeys(edges)), metadata if isinstance(metadata, dict) else {})


def _entries(group: Group, depth: int) -> dict[str, Any]:
    if depth > DEEPEST:
        raise ValueError(f"its groups are nested more than {DEEPEST} deep")
    if len(group) > 2 * MOST_NODES:
        raise ValueError(f"a group of it has {len(group):,} entries, the limit is {2 * MOST_NODES:,}")
    found: dict[str, Any] = {}
    for name in group:
        inner = group[name]
        found[name] = _entries(inner, depth + 1) if isinstance(inner, Group) else _value(inner[()])
    return found


def _value(value: Any) -> Any:
    """Texts as str, all else as arrays."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    array = np.asarray(value)
    if array.dtype.kind in "OS":
        return np.array([_value(item) if isinstance(item, bytes) else item for item in array.ravel()], dtype=object)
    return array


def _flat(path: Path, graph: dict[str, Any], prefix: str) -> tuple[dict[str, Node], list[tuple[str, str]]]:
    inner, edges = graph.get("nodes"), list(_pairs(path, graph))
    if not isinstance(inner, dict):
        raise PumiceError(f"{path} has a graph without nodes; write it anew")
    nodes: dict[str, Node] = {}
    for name, fields in inner.items():
        kind = fields.get("type") if isinstance(fields, dict) else None
        if not isinstance(kind, str):
            raise PumiceError(f"{path}: node {prefix}{name} does not say its type; write it anew")
        if kind == "NIRGraph":
            below, more = _flat(path, fields, f"{name}.")
            edges = _dissolved(edges, name, below, more)
            nodes |= below
        else:
            nodes[name] = Node(name, kind, fields)
    if not prefix:
        return nodes, edges
    renamed = {f"{prefix}{name}": Node(f"{prefix}{name}", node.kind, node.fields) for name, node in nodes.items()}
    return renamed, [(f"{prefix}{a}", f"{prefix}{b}") for a, b in edges]


def _dissolved(
    edges: list[tuple[str, str]], name: str, nodes: dict[str, Node], inner: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Edges of a graph once the one called ``name`` in it has given its ``nodes`` and ``inner`` edges: what led to it
    leads to what its inputs led to, what came from it comes from what led to its outputs.
    """
    doors = {kind: {key for key, node in nodes.items() if node.kind == kind} for kind in ("Input", "Output")}
    first = [b for a, b in inner if a in doors["Input"]]
    last = [a for a, b in inner if b in doors["Output"]]
    kept = [edge for edge in inner if edge[0] not in doors["Input"] and edge[1] not in doors["Output"]]
    for key in (*doors["Input"], *doors["Output"]):
        del nodes[key]
    for a, b in edges:
        kept += [(x, y) for x in (last if a == name else [a]) for y in (first if b == name else [b])]
    return kept


def _pairs(path: Path, graph: dict[str, Any]) -> Iterator[tuple[str, str]]:
    edges = graph.get("edges")
    if not isinstance(edges, np.ndarray) or edges.dtype.kind != "O" or edges.size % 2:
        raise PumiceError(f"{path} has a graph without edges; write it anew")
    for a, b in edges.reshape(-1, 2).tolist():
        yield str(a), str(b)
