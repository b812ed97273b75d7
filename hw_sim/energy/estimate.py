"""Energy of a program by node: compute and memory apart, low and high."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...program import ProgramError
from ..counts.records import Counts, NodeCounts
from .profile import EnergyProfile, MemoryLevel, Range
from .quantities import arithmetic, synaptic

CLASSES = ("weights", "state", "activations")
"""What is kept in memory, each class in one level."""


@dataclass(frozen=True)
class NodeEnergy:
    """Energy of one node over all counted samples, in picojoules.

    Attributes:
        name: the node's name.
        compute: of its operations.
        memory: of its accesses, by class: weights, state, activations; empty where the profile prices no memory.
        unpriced: operations that the profile has no constant for, by quantity.
    """

    name: str
    compute: Range
    memory: Mapping[str, Range]
    unpriced: Mapping[str, int]

    @property
    def total(self) -> Range:
        """Compute and memory."""
        return sum(self.memory.values(), self.compute)


@dataclass(frozen=True)
class Energy:
    """Energy of a program over all counted samples, in picojoules.

    Attributes:
        profile: the profile's name.
        arithmetic: ``integer`` or ``float32``.
        samples: how many samples.
        events: their events.
        placement: the memory level of each class; empty where the profile prices no memory.
        nodes: in the program's order.
        clocked: whether an event is one time step of a clocked network.
    """

    profile: str
    arithmetic: str
    samples: int
    events: int
    placement: Mapping[str, str]
    nodes: tuple[NodeEnergy, ...]
    clocked: bool = False

    @property
    def compute(self) -> Range:
        """Of all operations."""
        return sum((node.compute for node in self.nodes), Range())

    @property
    def memory(self) -> Range:
        """Of all accesses."""
        return sum((part for node in self.nodes for part in node.memory.values()), Range())

    @property
    def total(self) -> Range:
        """Compute and memory."""
        return self.compute + self.memory

    @property
    def unpriced(self) -> dict[str, int]:
        """Operations without a constant, by quantity."""
        return dict(sum((Counter(node.unpriced) for node in self.nodes), Counter()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data: totals over all samples, means an event and a sample, and every node."""
        totals = {"compute": self.compute, "memory": self.memory, "total": self.total}

        def per(count: int) -> dict[str, Any]:
            return {name: asdict(value * (1 / max(count, 1))) for name, value in totals.items()}

        return {
            "unit": "pJ",
            "profile": self.profile,
            "arithmetic": self.arithmetic,
            "samples": self.samples,
            "events": self.events,
            "placement": dict(self.placement),
            "unpriced": self.unpriced,
            "totals": per(1),
            "per_event": per(self.events),
            "per_sample": per(self.samples),
            "nodes": [asdict(node) for node in self.nodes],
        }


def energy(
    counts: Counts,
    profile: EnergyProfile,
    *,
    placement: Mapping[str, str] | None = None,
    skip_zeros: bool = True,
) -> Energy:
    """Price counted operations.

    Args:
        counts: of ``counts.count`` or ``counts.count_float``.
        profile: the constants.
        placement: memory level by class (``weights``, ``state``, ``activations``); where it is not given, weights
            and state take the smallest level that holds all of them, activations the smallest level.
        skip_zeros: whether products with a zero operand, and weights only they need, cost nothing.

    Raises:
        ProgramError: a placement that the profile does not know, no level large enough, or float counts with a
            profile of synaptic operations.
    """
    floating = counts.arithmetic == "float32"
    if floating and profile.style == "synaptic":
        raise ProgramError(
            f"profile {profile.name} prices synaptic operations of integer codes, not float32; use another"
        )
    levels = _place(counts, profile, placement or {})
    nodes = tuple(_node(node, profile, levels, floating, skip_zeros) for node in counts)
    names = {kind: level.name for kind, level in levels.items()}
    return Energy(profile.name, counts.arithmetic, counts.samples, counts.events, names, nodes, counts.clocked)


def _node(
    node: NodeCounts, profile: EnergyProfile, levels: Mapping[str, MemoryLevel], floating: bool, skip_zeros: bool
) -> NodeEnergy:
    if profile.style == "synaptic":
        quantities, unpriced = synaptic(node)
    else:
        quantities, unpriced = arithmetic(node, floating, skip_zeros), Counter()
    compute = Range()
    for quantity, number in quantities.items():
        if quantity in profile.constants:
            compute = compute + profile.constants[quantity].energy * number
        else:
            unpriced[quantity] += number
    traffic = node.traffic
    bits = {
        "weights": traffic.weights if skip_zeros else traffic.weights_dense,
        "state": traffic.state_read + traffic.state_written,
        "activations": traffic.inputs_read + traffic.outputs_written,
    }
    memory = {kind: level.per_bit * bits[kind] for kind, level in levels.items()}
    return NodeEnergy(node.name, compute, memory, dict(unpriced))


def _place(counts: Counts, profile: EnergyProfile, placement: Mapping[str, str]) -> dict[str, MemoryLevel]:
    by_name = {level.name: level for level in profile.memory}
    for kind, name in placement.items():
        if kind not in CLASSES or name not in by_name:
            raise ProgramError(
                f"placement {kind}={name} is unknown to profile {profile.name}; "
                f"place {', '.join(CLASSES)} in {', '.join(by_name) or 'nothing, as it prices no memory'}"
            )
    if not profile.memory:
        return {}
    stored = {
        "weights": sum(node.parameter_bits for node in counts),
        "state": sum(node.state_bits for node in counts),
        "activations": 0,
    }
    return {
        kind: by_name[placement[kind]] if kind in placement else _smallest(profile, kind, stored[kind] / 8)
        for kind in CLASSES
    }


def _smallest(profile: EnergyProfile, kind: str, size: float) -> MemoryLevel:
    for level in profile.memory:
        if level.capacity is None or size <= level.capacity:
            return level
    raise ProgramError(f"profile {profile.name}: {size:,.0f} bytes of {kind} fit no memory level; add a larger one")
