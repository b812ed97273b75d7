"""What a program holds, and in what two programs differ: plain data, and Rich tables of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from ..program import Format, Program, digest
from ..program.bounds import register
from ..program.formats import smallest_dtype
from ..program.nodes import (
    SPIKES,
    AdaptiveLIF,
    DiagonalSSM,
    EventPool,
    LeakyIntegrator,
    LoihiLIF,
    Lookup,
    Neurons,
    Node,
    Readout,
)
from .counts.memory import state_bits

_WIDTH_OF = {
    "table": "table_width",
    "input": "input_width",
    "recurrent": "recurrent_width",
    "weight": "weight_width",
    "decay": "decay_width",
    **dict.fromkeys(("alpha", "rise", "beta", "coupling", "jump"), "constant_width"),
    "input_re": "input_width",
    "input_im": "input_width",
    "decay_re": "decay_width",
    "decay_im": "decay_width",
    "multiplier": "multiplier_width",
}
"""Tensors whose width the node states; others are counted at the narrowest integer type that holds them."""


def inspect(program: Program) -> dict[str, Any]:
    """Graph, formats, rates, registers, memory in bits, tables and dead zones, as plain data for JSON."""
    nodes = [_describe(program, node) for node in program]
    return {
        "digest": digest(program),
        "pairing": program.pairing,
        "series": program.series,
        "step_us": program.step_us,
        "ticks_us": {node.name: node.unit_us for node in program.gap_inputs},
        "class_names": list(program.class_names),
        "provenance": dict(program.provenance),
        "depth": program.parallel_depth(),
        "max_events": program.max_events,
        "max_duration_us": program.max_duration_us,
        "nodes": nodes,
        "weight_bits": sum(node["weight_bits"] for node in nodes),
        "state_bits": sum(node["state_bits"] for node in nodes),
        "tables": {node.name: _table(node) for node in program if isinstance(node, Lookup)},
        "dead_zones": {name: zone for node in program for name, zone in dead_zones(node).items()},
    }


def dead_zones(node: Node) -> dict[str, dict[str, float]]:
    """Where rounding holds a decaying state, by state: ``<node>``, or ``<node>:u`` and ``<node>:w`` of neurons.

    About ``0.71 / (1 - |a|)`` units for a complex mode with the decay a of one tick, and ``0.5 / (1 - a)`` for real
    states with the decay a of one step. Gives the smallest, median and largest in units, and the largest as a share of
    the range. What does not decay within its coefficients holds any state: infinite units are given as the whole range.
    """
    found = {}
    if isinstance(node, DiagonalSSM):
        one = 2.0 ** node.decay_exponent[0].astype(np.float64)
        decay = np.hypot(one + node.decay_re[0], node.decay_im[0].astype(np.float64)) / one
        found[node.name] = _dead_zone(0.71, decay, node.state_format)
    if isinstance(node, Neurons):
        found[f"{node.name}:u"] = _dead_zone(0.5, np.ldexp(node.alpha.astype(float), -node.alpha_frac), node.potential)
    if isinstance(node, AdaptiveLIF):
        found[f"{node.name}:w"] = _dead_zone(0.5, np.ldexp(node.beta.astype(float), -node.beta_frac), node.adaptation)
    if isinstance(node, LeakyIntegrator):
        found[node.name] = _dead_zone(0.5, np.ldexp(node.decay.astype(float), -node.decay_frac), node.output)
    return found


def _dead_zone(step: float, decay: np.ndarray, format: Format) -> dict[str, float]:
    units = np.minimum(step / np.maximum(1 - decay, 1e-300), float(format.max))
    share = float(units.max() / format.max)
    return {"min": float(units.min()), "median": float(np.median(units)), "max": float(units.max()), "share": share}


def _describe(program: Program, node: Node) -> dict[str, Any]:
    tensors = {name: {"shape": list(array.shape), "bits": bits} for name, array, bits in _tensors(node)}
    return {
        "name": node.name,
        "type": type(node).__name__,
        "inputs": list(node.inputs),
        "output": str(node.output),
        "channels": node.channels,
        "rate": program.rates[node.name],
        "registers": {
            what: {"bits": int(bound).bit_length() + 1, "register": register(int(bound))}
            for what, bound in node.bounds().items()
        },
        "tensors": tensors,
        "weight_bits": sum(int(np.prod(entry["shape"])) * entry["bits"] for entry in tensors.values()),
        "state_bits": _state_bits(node),
    }


def _tensors(node: Node) -> list[tuple[str, np.ndarray, int]]:
    found = []
    for item in fields(node):
        value = getattr(node, item.name)
        for index, array in enumerate(value if isinstance(value, tuple) else (value,)):
            if isinstance(array, np.ndarray) and array.size:
                name = f"{item.name}[{index}]" if isinstance(value, tuple) else item.name
                if item.name == "weights":
                    bits = node.weight_widths[index]
                elif item.name == "table" and isinstance(node, Lookup):
                    bits = node.output.width
                elif item.name in ("weight", "recurrent") and isinstance(node, LoihiLIF):
                    bits = node.weight_bits
                else:
                    bits = getattr(node, _WIDTH_OF.get(item.name, ""), 0) or _narrowest(array)
                found.append((name, array, bits))
    return found


def _narrowest(array: np.ndarray) -> int:
    largest = max(int(array.max()), -int(array.min()) - 1)
    return smallest_dtype(largest.bit_length() + 1).itemsize * 8


def _state_bits(node: Node) -> int:
    if isinstance(node, EventPool):
        sums = 64 if node.mode == "time" else node.output.width
        return node.size * sums + (64 if node.mode == "time" else 0) + node.window.bit_length()
    if isinstance(node, Readout):
        if node.mode == "window":
            return node.window * node.size * node.format.width + 64
        return node.size * (64 if node.mode in ("mean", "time") else node.output.width) + 64
    return state_bits(node)


def _table(node: Lookup) -> dict[str, Any]:
    return {"function": node.function, "entries": int(node.table.size), "output": str(node.output)}


def _rate(rate: int) -> str:
    return "read" if rate == 0 else f"1/{rate}"


def inspection_table(data: dict[str, Any]) -> Group:
    """Rich rendering of ``inspect``."""
    nodes = Table(title=f"Program {data['digest'][:12]}")
    for column in ("node", "type", "output", "channels", "rate", "register", "weights, bytes", "state, bytes"):
        nodes.add_column(column, justify="left" if column in ("node", "type") else "right", overflow="fold")
    for node in data["nodes"]:
        widest = max((entry["bits"] for entry in node["registers"].values()), default=0)
        wide = any(entry["register"] == "i64" for entry in node["registers"].values())
        nodes.add_row(
            node["name"],
            node["type"],
            "spikes" if node["output"] == str(SPIKES) else node["output"],
            str(node["channels"]),
            _rate(node["rate"]),
            f"{'i64' if wide else 'i32'} ({widest})" if widest else "",
            f"{node['weight_bits'] / 8:,.0f}" if node["weight_bits"] else "",
            f"{node['state_bits'] / 8:,.0f}" if node["state_bits"] else "",
        )
    nodes.add_section()
    totals = (f"{data['weight_bits'] / 8:,.0f}", f"{data['state_bits'] / 8:,.0f}")
    nodes.add_row("total", "", "", "", "", "", *totals)
    zones = Table(title="Dead zones: units within which a slow mode's state stands still")
    for column in ("node", "smallest", "median", "largest", "share of the range"):
        zones.add_column(column, justify="left" if column == "node" else "right")
    for name, zone in data["dead_zones"].items():
        zones.add_row(name, *(f"{zone[key]:,.1f}" for key in ("min", "median", "max")), f"{100 * zone['share']:.2f} %")
    ticks = ", ".join(f"{name} {unit:,} us" for name, unit in data["ticks_us"].items())
    step = "" if data["step_us"] is None else f" of {data['step_us']:,} us"
    clock = f"gaps: {ticks}" if ticks else f"one row a step{step}, no gaps"
    series = f"; read at every step: {data['series']}" if data["series"] else ""
    classes = len(data["class_names"])
    about = f"{classes} classes; {clock}; pairing {data['pairing']}; depth {data['depth']}{series}"
    return Group(nodes, zones, about)


def diff(a: Program, b: Program) -> dict[str, Any]:
    """In what two programs differ: nodes that only one has, and fields and tensors of the others.

    ``changed`` lists, by node and field, either both values or, for tensors, how many entries differ and by how much
    at most (both shapes where they differ). ``identical`` says that the digests are equal.
    """
    changed: list[dict[str, Any]] = []
    for what in ("logits", "pairing", "step_us", "class_names", "provenance"):
        changed += _field_difference("program", what, getattr(a, what), getattr(b, what))
    for name in (node.name for node in a if node.name in b.by_name):
        one, other = a[name], b[name]
        if type(one) is not type(other):
            changed += _field_difference(name, "type", type(one).__name__, type(other).__name__)
            continue
        for item in fields(one):
            changed += _field_difference(name, item.name, getattr(one, item.name), getattr(other, item.name))
    shared = [[node.name for node in p if node.name in q.by_name] for p, q in ((a, b), (b, a))]
    return {
        "identical": digest(a) == digest(b),
        "only_first": [node.name for node in a if node.name not in b.by_name],
        "only_second": [node.name for node in b if node.name not in a.by_name],
        "order": shared[0] != shared[1],
        "changed": changed,
    }


def _field_difference(node: str, name: str, one: Any, other: Any) -> list[dict[str, Any]]:
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        parts = [_field_difference(node, f"{name}[{i}]", p, q) for i, (p, q) in enumerate(zip(one, other, strict=True))]
        return [entry for part in parts for entry in part]
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        entry: dict[str, Any] = {"node": node, "field": name}
        if one.shape != other.shape:
            return [{**entry, "first": f"shape {one.shape}", "second": f"shape {other.shape}"}]
        apart = np.abs(one.astype(np.int64) - other.astype(np.int64))
        if not apart.any():
            if one.dtype == other.dtype:
                return []
            return [{**entry, "first": str(one.dtype), "second": str(other.dtype)}]
        return [{**entry, "entries": int(one.size), "differing": int((apart > 0).sum()), "largest": int(apart.max())}]
    if one == other:
        return []
    return [{"node": node, "field": name, "first": _plain(one), "second": _plain(other)}]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, (Format, tuple, np.ndarray)) else value


def diff_table(data: dict[str, Any]) -> Group:
    """Rich rendering of ``diff``."""
    if data["identical"]:
        return Group("The programs are identical.")
    table = Table(title="Differences")
    for column in ("node", "field", "first", "second"):
        table.add_column(column, overflow="fold")
    for key, column in (("only_first", 0), ("only_second", 1)):
        for name in data[key]:
            table.add_row(name, "", *(("present", "absent") if column == 0 else ("absent", "present")))
    for entry in data["changed"]:
        if "differing" in entry:
            share = f"{entry['differing']:,} of {entry['entries']:,} entries differ"
            table.add_row(entry["node"], entry["field"], share, f"by at most {entry['largest']:,}")
        else:
            table.add_row(entry["node"], entry["field"], str(entry["first"]), str(entry["second"]))
    return Group(table, *(["The nodes come in another order."] if data["order"] else []))
