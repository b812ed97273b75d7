"""Widths, fractional bits, ranges and bytes of a program, as its nodes tell them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...program import Program
from ...program.nodes import HIDDEN, Node
from .names import layer_of

KEPT = ("weights", "tables", "constants")
"""What a program keeps: weights of inputs; of other codes those that an event may need a part of, and the rest."""
HELD = ("states", "buffers")
"""What it remembers: states that are seen, and sums and values of open windows that are not."""


def kinds_of(node: Node) -> dict[str, str]:
    """The kind, of `KEPT`, of each tensor of a node by name."""
    weights = {tensor.name for tensor in node.weight_tensors()}
    return {
        tensor.name: "weights" if tensor.name in weights else "constants" if tensor.whole else "tables"
        for tensor in node.tensors()
    }


def memory_map(program: Program) -> dict[str, dict[str, float]]:
    """Bytes by layer and kind, those of `KEPT` and `HELD`, packed at the program's widths; layers that hold any."""
    layers: dict[str, dict[str, float]] = {}
    for node in program:
        entry, kinds = layers.setdefault(layer_of(node.name), dict.fromkeys((*KEPT, *HELD), 0.0)), kinds_of(node)
        for tensor in node.tensors():
            entry[kinds[tensor.name]] += tensor.bits / 8
        for state in node.states():
            entry["buffers" if state.seen == HIDDEN else "states"] += state.bits / 8
    return {name: entry for name, entry in layers.items() if any(entry.values())}


def formats(program: Program, simulated: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A row a node.

    Returns:
        name, layer, type and equation; ``bits``, ``signed`` and ``frac`` of the output, and the values ``low`` and
        ``high`` that it can carry; ``weights``, ``tables``, ``constants``: widths of its tensors; ``states``: names,
        widths and the least and most fractional bits; of a program that was simulated ``used``, the bits of the float
        model's largest value there, and ``saturations``; None where they are not known.
    """
    return [_row(program, node, simulated or {}) for node in program]


def _row(program: Program, node: Node, simulated: Mapping[str, Any]) -> dict[str, Any]:
    kinds, (low, high), scale = kinds_of(node), node.code_range, node.output.scale
    widths = {kind: sorted({t.width for t in node.tensors() if kinds[t.name] == kind}) for kind in KEPT}
    states = [
        {"name": s.name, "bits": s.width, "frac_low": int(s.fracs.min()), "frac_high": int(s.fracs.max())}
        for s in node.states()
        if s.seen != HIDDEN and s.size
    ]
    return {
        "name": node.name,
        "layer": layer_of(node.name),
        "type": type(node).__name__,
        "equation": node.equation,
        "bits": node.output.width,
        "signed": node.output.signed,
        "frac": node.output.frac,
        "low": low * scale,
        "high": high * scale,
        **widths,
        "states": states,
        "used": _used(simulated.get("ranges", {}).get(node.name)),
        "saturations": simulated.get("saturations", {}).get(node.name),
    }


def _used(found: Mapping[str, Any] | None) -> int | None:
    """Bits of the largest magnitude that was seen; of one beyond the limit how many it would need, as far as told."""
    if found is None:
        return None
    seen = [found["first"] + place for place, count in enumerate(found["counts"]) if count]
    return max(seen, default=0)


def by_layer(rows: Iterable[Mapping[str, Any]], events: int | None) -> list[dict[str, Any]]:
    """The rows of `formats` by layer: all widths, the least and most fractional bits, what saturated.

    Args:
        rows: of the nodes.
        events: that were simulated; None where none were.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["layer"], []).append(row)
    return [_summary(layer, own, events) for layer, own in groups.items()]


def _summary(layer: str, rows: Sequence[Mapping[str, Any]], events: int | None) -> dict[str, Any]:
    states = [state for row in rows for state in row["states"]]
    fracs = [row["frac"] for row in rows]
    known = [row["saturations"] for row in rows if row["saturations"] is not None]
    return {
        "layer": layer,
        **{kind: sorted({width for row in rows for width in row[kind]}) for kind in KEPT},
        "bits": sorted({row["bits"] for row in rows}),
        "frac": [min(fracs), max(fracs)],
        "states": sorted({state["bits"] for state in states}),
        "state_frac": [min(s["frac_low"] for s in states), max(s["frac_high"] for s in states)] if states else None,
        "saturations": sum(known) if known else None,
        "in_1000": sum(known) / events * 1000 if known and events else None,
    }
