"""Layers on cores: how many a layer takes by its units and by its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from ...program import Program
from ...program.nodes import Node
from ...program.nodes.inputs import GAP_FORMAT
from .profile import ChipProfile


@dataclass(frozen=True)
class Placed:
    """A layer on its cores.

    Attributes:
        layer: the part of the program, such as ``stages/0/layers/1``.
        units: outputs of its nodes that have weights or states: what a core computes as neurons.
        bytes: its parameters and states, rounded up.
        cores: how many it takes, none of them shared with another layer.
        by: ``neurons`` or ``memory``: what takes so many.
    """

    layer: str
    units: int
    bytes: int
    cores: int
    by: str


def layer_of(node: Node) -> str:
    """The layer that a node belongs to: its name without the last part."""
    return node.name.rpartition("/")[0] or node.name


def is_unit(node: Node) -> bool:
    """Whether a chip has to compute the node's outputs as neurons of their own: it has weights or remembers.

    Means over time are the host's, who reads potentials or logits, and so is the time between events.
    """
    on_chip = not node.is_input and not node.reads_out and node.output != GAP_FORMAT
    return on_chip and bool(node.weight_tensors() or node.states())


def place(program: Program, profile: ChipProfile) -> list[Placed]:
    """Each layer of a program on cores of ``profile``, where it has any; a layer may take several."""
    per_core, memory = profile.value("neurons_per_core"), profile.value("core_bytes")
    if per_core is None and memory is None:
        return []
    layers: dict[str, list[Node]] = {}
    for node in program:
        if not node.is_input and (node.tensors() or node.states()):
            layers.setdefault(layer_of(node), []).append(node)
    return [_placed(layer, nodes, per_core, memory) for layer, nodes in layers.items()]


def _placed(layer: str, nodes: Sequence[Node], per_core: int | None, memory: int | None) -> Placed:
    units = sum(node.channels for node in nodes if is_unit(node))
    size = ceil(sum(node.parameter_bits + node.state_bits for node in nodes) / 8)
    by_units = ceil(units / per_core) if per_core else 0
    by_memory = ceil(size / memory) if memory else 0
    return Placed(layer, units, size, max(1, by_units, by_memory), "memory" if by_memory > by_units else "neurons")
