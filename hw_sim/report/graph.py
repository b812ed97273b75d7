"""A picture of a program: its parts in a row, and a card of what is in each, drawn from what the nodes tell.

Nodes stand below those they read, each in the row after the last of them. An edge over several rows takes a place in
those between (Sugiyama, Tagawa and Toda 1981); places in a row are ordered by the mean of what lies above, then below.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from ...program import Program
from ...program.nodes import VALUE, Node
from .names import layer_of

WIDTH, ROW, HEIGHT, GAP = 264.0, 42.0, 28.0, 8.0
"""Of a card, a row and a box, and between boxes; pixels where nothing is scaled."""
WIDEST, THIN = 116.0, 0.16
"""Width of a box that has room, and the share of a place that an edge takes."""
SWEEPS = 6


def picture(program: Program) -> dict[str, Any]:
    """The parts of a program from its events to its logits.

    Returns:
        ``chain``: an entry a part, in order: its names, the channels and the rate of what leaves it; ``cards``: a
        drawing of each part, one for all that are alike: ``parts``, their names, and ``svg``.
    """
    parts = _parts(program)
    cards: dict[Any, dict[str, Any]] = {}
    for names, nodes in parts:
        alike = cards.setdefault(_signature(program, nodes), {"parts": [], "nodes": nodes})
        alike["parts"].append(names)
    return {
        "chain": [
            {"part": names, "channels": nodes[-1].channels, "rate": program.rates[nodes[-1].name]}
            for names, nodes in parts
        ],
        "cards": [
            {"parts": card["parts"], "svg": Markup(_card(program, card["nodes"], ", ".join(card["parts"])))}
            for card in cards.values()
        ],
    }


def _parts(program: Program) -> list[tuple[str, list[Node]]]:
    """Nodes by layer, in order; those outside of layers that follow each other together."""
    groups: dict[str, list[Node]] = {}
    for node in program:
        groups.setdefault(layer_of(node.name), []).append(node)
    parts: list[tuple[str, list[Node]]] = []
    for name, nodes in groups.items():
        if parts and not name.startswith("layer ") and not parts[-1][0].startswith("layer "):
            parts[-1] = (f"{parts[-1][0]}, {name}", parts[-1][1] + nodes)
        else:
            parts.append((name, nodes))
    return parts


def _signature(program: Program, nodes: Sequence[Node]) -> Any:
    """Equal of parts that differ in their numbers alone."""
    places = {node.name: place for place, node in enumerate(nodes)}
    first = next((program.rates[edge] for node in nodes for edge in node.inputs), 1)
    return tuple(
        (
            label_of(node.name),
            type(node).__name__,
            told_of(node),
            program.rates[node.name] / max(first, 1),
            tuple((places.get(edge, -1), role) for edge, role in zip(node.inputs, node.roles, strict=True)),
        )
        for node in nodes
    )


def label_of(name: str) -> str:
    """The last part of a node's name that is no number alone."""
    last = name.rsplit("/", 1)[-1]
    return name if last.isdigit() else last


def _part(name: str) -> str:
    """The layer of a node from outside, where it is in one."""
    layer = layer_of(name)
    return "" if layer in (name, label_of(name)) else f"{layer}, "


def told_of(node: Node) -> str:
    """Signedness and width of a node's codes, and how many: ``s16 x 48``."""
    return f"{'s' if node.output.signed else 'u'}{node.output.width} x {node.channels}"


class _Layout:
    """Places of nodes and of edges that pass by, by row; row 0 has what comes from outside."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.inside = {node.name: node for node in nodes}
        self.edges = [
            (edge, node.name, role) for node in nodes for edge, role in zip(node.inputs, node.roles, strict=True)
        ]
        self.row = {edge: 0 for edge, _, _ in self.edges if edge not in self.inside}
        for node in nodes:
            self.row[node.name] = 1 + max((self.row[edge] for edge in node.inputs), default=0)
        last = dict(self.row)
        for edge, reader, _ in self.edges:
            last[edge] = max(last[edge], self.row[reader] - 1)
        self.last = last
        rows: dict[int, list[tuple[str, int]]] = {}
        for name, row in self.row.items():
            for passed in range(row, last[name] + 1):
                rows.setdefault(passed, []).append((name, passed))
        self.rows = [rows[row] for row in sorted(rows)]
        self._order()
        self.x = {place: x for row in self.rows for place, x in zip(row, self._spread(row), strict=True)}

    def way(self, source: str, reader: str) -> list[tuple[str, int]]:
        """The places that an edge goes through, its ends included."""
        row = self.row[source]
        return [*((source, passed) for passed in range(row, self.row[reader])), (reader, self.row[reader])]

    def _order(self) -> None:
        above: dict[tuple[str, int], list[tuple[str, int]]] = {}
        below: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for source, reader, _ in self.edges:
            way = self.way(source, reader)
            for one, other in pairwise(way):
                above.setdefault(other, []).append(one)
                below.setdefault(one, []).append(other)
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            for row in self.rows if down else reversed(self.rows):
                at = {place: self._mean(place, (above if down else below).get(place, ())) for place in row}
                row.sort(key=lambda place: at[place])

    def _mean(self, place: tuple[str, int], others: Sequence[tuple[str, int]]) -> float:
        """Where a place would lie in its row, between 0 and 1, by the places of others."""
        chosen = others or [place]
        shares = []
        for other in chosen:
            row = next(row for row in self.rows if other in row)
            shares.append((row.index(other) + 0.5) / len(row))
        return sum(shares) / len(shares)

    def is_box(self, place: tuple[str, int]) -> bool:
        """Whether a node stands there, or a name from outside; not an edge that passes."""
        return self.row[place[0]] == place[1]

    def _spread(self, row: Sequence[tuple[str, int]]) -> list[float]:
        shares = [1.0 if self.is_box(place) else THIN for place in row]
        unit, at, found = WIDTH / sum(shares), 0.0, []
        for share in shares:
            found.append(at + share * unit / 2)
            at += share * unit
        return found

    def width(self, place: tuple[str, int]) -> float:
        """Of the box there."""
        row = next(row for row in self.rows if place in row)
        return min(WIDEST, WIDTH / sum(1.0 if self.is_box(each) else THIN for each in row) - GAP)


def _card(program: Program, nodes: Sequence[Node], title: str) -> str:
    layout = _Layout(nodes)
    shift = 0 if any(row == 0 for row in layout.row.values()) else 1  # without a row of names from outside
    drawn = [_edge(layout, *edge, shift) for edge in layout.edges]
    for name in layout.row:
        drawn.append(_box(layout, name, layout.inside.get(name), shift))
    height = ROW * (max(layout.row.values()) + 1 - shift)
    label = escape(f"{title}: {', '.join(label_of(node.name) for node in nodes)}")
    return (
        f'<svg class="card" role="img" aria-label="{label}" viewBox="0 0 {WIDTH:g} {height:g}">{"".join(drawn)}</svg>'
    )


def _top(row: int, shift: int) -> float:
    return ROW * (row - shift) + (ROW - HEIGHT) / 2


def _edge(layout: _Layout, source: str, reader: str, role: str, shift: int) -> str:
    way = layout.way(source, reader)
    x, y = layout.x[way[0]], _top(way[0][1], shift) + HEIGHT
    path = f"M{x:.0f} {y:g}"
    for place in way[1:]:
        to, top = layout.x[place], _top(place[1], shift)
        middle = (y + top) / 2
        path += f"C{x:.0f} {middle:g} {to:.0f} {middle:g} {to:.0f} {top:g}"
        x, y = to, top
        if not layout.is_box(place):
            y = top + HEIGHT
            path += f"V{y:g}"
    kind = "" if role == VALUE else f' class="{escape(role)}"'
    return f'<path{kind} data-from="{escape(source)}" data-to="{escape(reader)}" d="{path}"/>'


def _box(layout: _Layout, name: str, node: Node | None, shift: int) -> str:
    place = (name, layout.row[name])
    x, top, width = layout.x[place], _top(place[1], shift), layout.width(place)
    if node is None:
        text = escape(_short(f"{_part(name)}{label_of(name)}", width))
        return f'<text class="from" x="{x:.0f}" y="{top + 18:g}">{text}</text>'
    lines = (("name", label_of(name), 11.5), ("type", f"{type(node).__name__}, {told_of(node)}", 22.5))
    if width < WIDEST:
        lines = (lines[0], ("type", told_of(node), 22.5))
    texts = "".join(
        f'<text class="{kind}" x="{x:.0f}" y="{top + y:g}">{escape(_short(text, width))}</text>'
        for kind, text, y in lines
    )
    about = f"<title>{escape(name)}: {type(node).__name__}, {node.output}, {escape(node.equation)}</title>"
    box = f'<rect x="{x - width / 2:.0f}" y="{top:g}" width="{width:.0f}" height="{HEIGHT:g}" rx="4"/>'
    return f'<g data-node="{escape(name)}">{about}{box}{texts}</g>'


def _short(text: str, width: float) -> str:
    """As much of a text as fits; the middle goes first."""
    most = max(int(width / 5), 3)
    return (
        text
        if len(text) <= most
        else f"{text[: (most - 1) // 2 + (most - 1) % 2]}…{text[len(text) - (most - 1) // 2 :]}"
    )


def rate_text(rate: int, unit: str) -> str:
    """How often a part speaks, for people."""
    return "when asked" if rate == 0 else f"every {unit}" if rate == 1 else f"every {rate} {unit}s"
