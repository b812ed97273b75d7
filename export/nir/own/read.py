"""The float model of a NIR file with nodes of Pumice's own namespace. Nothing in it is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np

from ....errors import PumiceError
from ....models.initial import Shape
from ..chain import MOST_ENTRIES
from ..layers import unfolded
from ..tree import Graph, Node
from .families import FAMILIES, OwnFamily
from .layout import EQUATIONS, NAMESPACE, NAMESPACES, Layout, OwnNode

MOST_TENSORS = 1 << 14
READING = ("LI", "I")


def is_own(graph: Graph) -> bool:
    """Whether a file says that it has nodes of such a namespace."""
    told = graph.metadata.get(NAMESPACE)
    return isinstance(told, dict) and "namespace" in told


def read_own(graph: Graph, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings, with the family among them, and the state dict, float32, that `write_own` wrote.

    Args:
        graph: of the file.
        version: of the metadata, the newest that is read.

    Raises:
        PumiceError: a damaged or newer file, or one whose graph, settings and weights do not belong together; names
            the node.
    """
    told = graph.metadata[NAMESPACE]
    if not isinstance(told["namespace"], str) or told["namespace"] not in NAMESPACES:
        raise PumiceError(f"{graph.path} has nodes of another namespace than {NAMESPACE}; read it with what wrote it")
    family, config, dt = _settings(graph, told, version)
    shapes = _limited(graph, family.shapes(config))
    layout = family.layout(config, sorted(shapes))
    _check_graph(graph, layout)
    state: dict[str, np.ndarray] = {}
    for node in layout.nodes.values():
        found = graph.nodes[node.name]
        _check_settings(graph, node, found)
        for field, name in node.tensors.items():
            state[name] = _values(graph, found, field, shapes[name])
    if layout.folded:
        state |= _read_out(graph, told, config, dt, shapes)
    return {"family": family.name, **asdict(config)}, state


def _settings(graph: Graph, told: Mapping[str, Any], version: int) -> tuple[OwnFamily, Any, float]:
    found = told.get("format_version")
    if not isinstance(found, np.ndarray) or found.size != 1 or found.dtype.kind not in "iu" or int(found) > version:
        raise PumiceError(f"{graph.path} has metadata of another version than {version}; update Pumice")
    try:
        settings, dt = json.loads(told["model"]), float(told["dt"])
        family = FAMILIES[settings["family"]]
        config = family.config.from_mapping({key: value for key, value in settings.items() if key != "family"})
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise PumiceError(f"{graph.path} has damaged metadata ({error}); write it anew") from error
    if getattr(config, "sdn", None) is not None or getattr(config, "inference", "exact") != "exact":
        raise PumiceError(f"{graph.path} names the file of a surrogate network; write it with inference=exact")
    if not (np.isfinite(dt) and dt > 0):
        raise PumiceError(f"{graph.path} has steps of {dt} s; write it anew")
    return family, config, dt


def _limited(graph: Graph, shapes: Iterable[Shape]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    entries = 0
    for name, shape in shapes:
        found[name] = shape
        entries += prod(shape)
        if entries > MOST_ENTRIES or len(found) > MOST_TENSORS:
            raise PumiceError(
                f"{graph.path} declares more than {MOST_ENTRIES:,} weights or {MOST_TENSORS:,} tensors, from {name} on"
            )
    return found


def _check_graph(graph: Graph, layout: Layout) -> None:
    """The file's nodes and edges are those of its settings."""
    for name, node in layout.nodes.items():
        if name not in graph.nodes:
            raise graph.refusal(name, f"({node.type}) is missing, its settings say that there is one; write it anew")
        kind = graph.nodes[name].kind
        if kind != node.type and not (node.kind in READING and kind in READING):
            raise graph.refusal(name, f"is a {kind}, its settings say a {node.type}; write it anew")
    more = sorted(graph.nodes.keys() - layout.nodes.keys())
    if more:
        raise graph.refusal(more[0], f"({graph.nodes[more[0]].kind}) has no place in what its settings say")
    for a, b in sorted(set(graph.edges) ^ set(layout.edges)):
        said = "leads" if (a, b) in set(graph.edges) else "does not lead"
        raise graph.refusal(a, f"{said} to {b}, other than its settings say; write it anew")


def _check_settings(graph: Graph, node: OwnNode, found: Node) -> None:
    if node.kind not in EQUATIONS:
        return
    held, told = found.fields.get("settings", {}), {k: v for k, v in node.settings.items() if v is not None}
    if not isinstance(held, dict) or held.keys() != told.keys():
        raise graph.refusal(node.name, f"has to say {', '.join(sorted(told)) or 'nothing'} in its settings")
    for name, value in told.items():
        if not _same(held[name], value):
            raise graph.refusal(node.name, f"says {name}={held[name]!s:.40}, the model's settings {value}")


def _same(found: Any, value: Any) -> bool:
    if isinstance(value, str):
        return isinstance(found, str) and found == value
    number = isinstance(found, np.ndarray) and found.size == 1 and found.dtype.kind in "biuf"
    return bool(number and found.item() == value)


def _values(
    graph: Graph, node: Node, field: str, shape: tuple[int, ...], dtype: type[np.floating] = np.float32
) -> np.ndarray:
    """A parameter."""
    found = node.fields.get(field)
    if not isinstance(found, np.ndarray) or found.dtype != dtype:
        raise graph.refusal(node.name, f"({node.kind}) has no {dtype.__name__} numbers called {field}; write it anew")
    if found.shape != shape:
        raise graph.refusal(node.name, f"has {field} of shape {found.shape}, its settings say {shape}; write it anew")
    if not np.isfinite(found).all():
        raise graph.refusal(node.name, f"holds values of {field} that are not finite; train it anew")
    return found


def _read_out(
    graph: Graph, told: Mapping[str, Any], config: Any, dt: float, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """Leaky integrators, what was folded into their weights taken out again."""
    product, last = graph.nodes["readout_input"], graph.nodes["readout"]
    count = shapes["readout.linear.bias"]
    alpha = np.ones(count)
    if last.kind == "LI":
        tau = _values(graph, last, "tau", count, np.float64)
        if np.any(tau <= 0):
            raise graph.refusal(last.name, f"has a time constant of {tau.min():g} s; it must be above 0")
        alpha = 1 - dt / tau
    state = {}
    for field in ("weight", "bias"):
        values = _values(graph, product, field, shapes[f"readout.linear.{field}"], np.float64)
        if config.rise != "one" and np.any(alpha == 1):
            raise graph.refusal(last.name, "does not leak, though its settings say rise=leak; write it anew")
        state[f"readout.linear.{field}"] = unfolded(values, alpha, config.rise)
    if "readout.tau.p" in shapes:
        parameters = told.get("parameters", {})
        held = Node("readout", last.kind, {"tau.p": parameters.get("readout.tau.p")})
        state["readout.tau.p"] = _values(graph, held, "tau.p", shapes["readout.tau.p"])
    return state
