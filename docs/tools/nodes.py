"""The node types, as tables and sections of a page, read from the classes and from what each backend implements."""

from __future__ import annotations

import re
from html import escape

import equations
from pumice.export.lava.runtime.evaluator import STATEFUL
from pumice.export.lava.runtime.stateless import STATELESS
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.qdq import QDQ
from pumice.hw_sim.counts.integer import COUNTERS
from pumice.hw_sim.simulator.plan.make import FUNCTIONS as PLANNERS
from pumice.program.nodes import REGISTRY, Embedding, LoihiLIF, Node
from pumice.program.reference.interpreter import FUNCTIONS

INPUTS = frozenset(node for node in REGISTRY.values() if node.is_input)
BACKENDS: dict[str, frozenset[type[Node]]] = {
    "reference": INPUTS | FUNCTIONS.keys(),
    "simulator": PLANNERS.keys() | {Embedding},  # always a table by token
    "ONNX": frozenset(INTEGER.writers),
    "QDQ": frozenset(QDQ.writers),
    "Lava": INPUTS | STATELESS.keys() | STATEFUL.keys() | {LoihiLIF},
    "counts": INPUTS | COUNTERS.keys(),  # inputs cost nothing here
}
TITLES = {
    "inputs": "Inputs",
    "stateless": "Without state",
    "ssm": "State-space",
    "windows": "Windows and read-outs",
    "neurons": "Neurons",
    "loihi": "Loihi",
}


def kind_of(node: type[Node]) -> str:
    """The file of the reference that runs it; it has the same name in every executor."""
    return "inputs" if node in INPUTS else FUNCTIONS[node].__module__.rpartition(".")[2]


def by_kind() -> dict[str, list[type[Node]]]:
    """All node types, in the order of ``TITLES`` and of their names."""
    found: dict[str, list[type[Node]]] = {kind: [] for kind in TITLES}
    for node in REGISTRY.values():
        found[kind_of(node)].append(node)
    return {kind: sorted(nodes, key=lambda node: node.__name__) for kind, nodes in found.items()}


def equation_of(node: type[Node]) -> str:
    """The node's line, drawn, an equation a row; as it stands where it is a sentence."""
    if not re.search(r"[(\[]", node.equation):
        return escape(node.equation)
    parts = re.split(r", (?=\w+'? (?:=|<-) )", node.equation)
    return "<br>".join(map(equations.inline, parts))


def table() -> str:
    """A row a node type: its equation, whether it keeps state, and the backends that run it."""
    rows = []
    for kind, nodes in by_kind().items():
        rows.append(f'<tr class="kind"><td colspan="{3 + len(BACKENDS)}">{TITLES[kind]}</td></tr>')
        for node in nodes:
            runs = "".join(f"<td>{'✓' if node in backend else ''}</td>" for backend in BACKENDS.values())
            link = f'<a href="#pumice.program.nodes.{node.__name__}">{node.__name__}</a>'
            state = "✓" if node.keeps_state else ""
            rows.append(f"<tr><td>{link}</td><td>{equation_of(node)}</td><td>{state}</td>{runs}</tr>")
    heads = "".join(f"<th>{head}</th>" for head in ("node", "equation", "state", *BACKENDS))
    return f'<div class="nodes"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def sections() -> str:
    """A section a kind, with what mkdocstrings knows of each node."""
    found = []
    for kind, nodes in by_kind().items():
        found.append(f"## {TITLES[kind]}")
        found += [f"::: pumice.program.nodes.{node.__name__}\n    options:\n      heading_level: 3" for node in nodes]
    return "\n\n".join(found)
