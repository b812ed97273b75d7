"""What a program holds, and in what two programs differ: plain data, and Rich tables of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from rich.console import Group

from ..program import Format, Program, digest
from ..program.bounds import register
from ..program.nodes import SPIKES, Lookup, Node
from ..terminal import Table


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
        "zero_weights": zero_weights(program),
        "state_bits": sum(node["state_bits"] for node in nodes),
        "tables": {node.name: _table(node) for node in program.of_type(Lookup)},
        "dead_zones": {name: zone for node in program for name, zone in dead_zones(node).items()},
    }


def zero_weights(program: Program) -> float:
    """The share of zeros among the codes that weigh what arrives (`Node.weight_tensors`), tables of tokens left out."""
    codes = [tensor.codes for node in program for tensor in node.weight_tensors() if tensor.name != "table"]
    return sum(int((each == 0).sum()) for each in codes) / max(sum(each.size for each in codes), 1)


def dead_zones(node: Node) -> dict[str, dict[str, float]]:
    """Where rounding holds a decaying state, by state: ``<node>``, or ``<node>:u`` and ``<node>:w`` of neurons.

    See `program.nodes.State`. Gives the smallest, median and largest in units, and the largest as a share of the range.
    What does not decay within its coefficients holds any state: infinite units are given as the whole range.
    """
    found = {}
    for state in node.states():
        units = state.dead_zone
        if units is not None:
            share = float(units.max()) / ((1 << (state.width - 1)) - 1)
            summary = {"min": float(units.min()), "median": float(np.median(units)), "max": float(units.max())}
            found[state.key(node.name)] = {**summary, "share": share}
    return found


def _describe(program: Program, node: Node) -> dict[str, Any]:
    tensors = {tensor.name: {"shape": list(tensor.codes.shape), "bits": tensor.width} for tensor in node.tensors()}
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
        "weight_bits": node.parameter_bits,
        "state_bits": node.state_bits,
    }


def _table(node: Lookup) -> dict[str, Any]:
    return {"function": node.function, "entries": int(node.table.size), "output": str(node.output)}


def _rate(rate: int) -> str:
    return "read" if rate == 0 else f"1/{rate}"


def inspection_table(data: dict[str, Any]) -> Group:
    """Rich rendering of ``inspect``."""
    nodes = Table(title=f"Program {data['digest'][:12]}")
    for column in ("node", "type", "output", "channels", "rate", "register", "weights, bytes", "state, bytes"):
        nodes.add_column(column, justify="left" if column in ("node", "type") else "right")
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
    zeros = f"; {100 * data['zero_weights']:.1f} % of weights are zero"
    classes = len(data["class_names"])
    about = f"{classes} classes; {clock}; pairing {data['pairing']}; depth {data['depth']}{series}{zeros}"
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
    if not isinstance(one, np.ndarray) and not isinstance(other, np.ndarray) and one == other:
        return []
    return [{"node": node, "field": name, "first": _plain(one), "second": _plain(other)}]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):  # where the other is one integer for all
        return f"shape {value.shape}"
    return str(value) if isinstance(value, (Format, tuple)) else value


def diff_table(data: dict[str, Any]) -> Group:
    """Rich rendering of ``diff``."""
    if data["identical"]:
        return Group("The programs are identical.")
    table = Table(title="Differences")
    for column in ("node", "field", "first", "second"):
        table.add_column(column, overflow="fold" if column in ("first", "second") else "ellipsis")
    for key, there in (("only_first", ("present", "absent")), ("only_second", ("absent", "present"))):
        for name in data[key]:
            table.add_row(name, "", *there)
    for entry in data["changed"]:
        if "differing" in entry:
            share = f"{entry['differing']:,} of {entry['entries']:,} entries differ"
            table.add_row(entry["node"], entry["field"], share, f"by at most {entry['largest']:,}")
        else:
            table.add_row(entry["node"], entry["field"], str(entry["first"]), str(entry["second"]))
    return Group(table, *(["The nodes come in another order."] if data["order"] else []))
