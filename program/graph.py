"""The program: an acyclic graph of nodes with checked edges and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .errors import ProgramError
from .nodes import (
    GAP_FORMAT,
    INPUT_NODES,
    QUERY,
    DenseInput,
    Embedding,
    EventPool,
    GapInput,
    LeakyIntegrator,
    LoihiLIF,
    Node,
    Readout,
    TokenInput,
)

PAIRINGS = ("causal", "next")
_LONGEST = 1 << 60
LONGEST_STEP_US = 1 << 40


@dataclass(frozen=True, eq=False, kw_only=True)
class Program:
    """Nodes in topological order, the name of the logits' node, and what a user must know to feed it.

    Attributes:
        nodes: every node after the nodes it reads.
        logits: the node whose codes are the class scores; ties go to the lowest index.
        pairing: ``causal`` or ``next`` (clock.py): which gap belongs to an event.
        class_names: one name a logit.
        provenance: configuration, package versions, digest of the float weights; plain JSON data.
        step_us: microseconds of a step of a clocked program, which then refuses times that leave steps out
            (steps.py); None where it is not known, and of event programs.
    """

    nodes: tuple[Node, ...]
    logits: str
    pairing: str
    class_names: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    step_us: int | None = None

    def __post_init__(self) -> None:
        if self.pairing not in PAIRINGS:
            raise ProgramError(f"pairing {self.pairing!r} is unknown; use one of {', '.join(PAIRINGS)}")
        self._check_edges()
        self._check_inputs()
        if self.step_us is not None:
            self._check_step(self.step_us)
        if self.logits not in self.by_name:
            raise ProgramError(f"the logits' node {self.logits!r} is not in the program")
        if self.rates[self.logits] != QUERY:
            raise ProgramError(f"the logits {self.logits!r} do not lie behind a read-out")
        if len(self.class_names) != self.by_name[self.logits].channels:
            raise ProgramError(
                f"{len(self.class_names)} class names for {self.by_name[self.logits].channels} logits; name each class"
            )

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def value_input(self) -> TokenInput | DenseInput:
        """The node that takes the event's token or its dense values."""
        return next(node for node in self.nodes if isinstance(node, (TokenInput, DenseInput)))

    @cached_property
    def gap_inputs(self) -> tuple[GapInput, ...]:
        """The gaps that the program reads, each in its own unit."""
        return tuple(node for node in self.nodes if isinstance(node, GapInput))

    @cached_property
    def rates(self) -> dict[str, int]:
        """Events of the input per event of each edge; ``QUERY`` (0) behind a read-out."""
        rates: dict[str, int] = {}
        for node in self.nodes:
            if isinstance(node, Readout):
                rates[node.name] = QUERY
                continue
            own = [rates[edge] for edge in node.inputs] or [1]
            if len(set(own)) > 1:
                listed = ", ".join(f"{edge} (1/{rate})" for edge, rate in zip(node.inputs, own, strict=True))
                raise ProgramError(f"node {node.name}: its inputs have different rates: {listed}")
            rates[node.name] = own[0] * node.stride
        return rates

    @property
    def clocked(self) -> bool:
        """Whether every input row is one time step: no node asks for the time between events."""
        return not self.gap_inputs

    @cached_property
    def series(self) -> str | None:
        """The edge whose value at every step is an output in its own right, what a read-out makes the logits of.

        The potentials of leaky integrators, or the spikes of Loihi's neurons; None where a program decides once a
        recording.
        """
        read = [self.by_name[node.inputs[0]] for node in self.nodes if isinstance(node, Readout)]
        return next((node.name for node in read if isinstance(node, (LeakyIntegrator, LoihiLIF))), None)

    @cached_property
    def max_events(self) -> int:
        """Events of one recording or stream for which every read-out's 64-bit sums hold."""
        limits = [_sum_limit(node) * self.rates[node.inputs[0]] for node in self.nodes if isinstance(node, Readout)]
        return min([*limits, _LONGEST])

    @cached_property
    def max_duration_us(self) -> int:
        """Microseconds from the first to the last event for which all gaps and time-weighted sums hold."""
        limits = [_LONGEST]
        for node in self.nodes:
            if isinstance(node, GapInput):
                limits.append((GAP_FORMAT.max - 1) * node.unit_us)
            if isinstance(node, (EventPool, Readout)) and node.mode == "time":
                limits.append((_sum_limit(node) - 1) * self._unit_us(node.inputs[1]))
        return min(limits)

    def _unit_us(self, edge: str) -> int:
        node = self.by_name[edge]
        while not isinstance(node, GapInput):
            node = self.by_name[node.inputs[0]]
        return node.unit_us

    def parallel_depth(self) -> int:
        """The longest chain of nodes."""
        depth: dict[str, int] = {}
        for node in self.nodes:
            depth[node.name] = 1 + max((depth[edge] for edge in node.inputs), default=0)
        return max(depth.values())

    def _check_edges(self) -> None:
        seen: dict[str, Node] = {}
        for node in self.nodes:
            if node.name in seen:
                raise ProgramError(f"two nodes are called {node.name!r}; names must be unique")
            if not isinstance(node, INPUT_NODES) and not node.inputs:
                raise ProgramError(f"node {node.name}: has no input")
            if len(node.inputs) != len(node.input_formats):
                raise ProgramError(f"node {node.name}: {len(node.inputs)} inputs, {len(node.input_formats)} expected")
            expected = zip(node.inputs, node.input_formats, node.input_channels, strict=True)
            for edge, format, channels in expected:
                if edge not in seen:
                    raise ProgramError(f"node {node.name}: reads {edge!r}, which no earlier node makes")
                source = seen[edge]
                if source.output != format:
                    raise ProgramError(f"edge {edge} -> {node.name}: carries {source.output}, {format} is expected")
                if source.channels != channels:
                    raise ProgramError(
                        f"edge {edge} -> {node.name}: carries {source.channels} channels, {channels} are expected"
                    )
                if isinstance(source, TokenInput) and isinstance(node, Embedding) and len(node.table) < source.vocab:
                    rows = len(node.table)
                    raise ProgramError(f"node {node.name}: its {rows} rows are fewer than {source.vocab} tokens")
            seen[node.name] = node

    def _check_step(self, step_us: int) -> None:
        if isinstance(step_us, bool) or not isinstance(step_us, int) or not 1 <= step_us <= LONGEST_STEP_US:
            raise ProgramError(f"a step of {step_us!r} us is no whole number of 1 to {LONGEST_STEP_US} us")
        if not self.clocked:
            raise ProgramError("a program that reads gaps has no steps; leave step_us out")

    def _check_inputs(self) -> None:
        values = [node.name for node in self.nodes if isinstance(node, (TokenInput, DenseInput))]
        if len(values) != 1:
            raise ProgramError(f"a program has one token or dense input, not {len(values)}")
        units = [node.unit_us for node in self.nodes if isinstance(node, GapInput)]
        if len(set(units)) != len(units):
            raise ProgramError("two gap inputs share one unit; use a single one")
        for node in self.nodes:
            if isinstance(node, Readout) and node.mode == "time":
                values, weights, total = (self.rates[edge] for edge in node.inputs)
                if values != weights or total != 1:
                    raise ProgramError(
                        f"node {node.name}: needs values and weights of one rate and gaps at the full rate, "
                        f"not rates 1/{values}, 1/{weights}, 1/{total}"
                    )
            if node.keeps_state and any(self.rates[edge] == QUERY for edge in node.inputs):
                raise ProgramError(f"node {node.name}: keeps state behind a read-out; only stateless nodes may")


def _sum_limit(node: EventPool | Readout) -> int:
    """How many unit weights of the largest code fit the doubled, shifted sum of a rounded division: below 2**62."""
    extra = node.extra_bits if isinstance(node, Readout) else 0
    return (1 << 62) // ((node.format.magnitude << (extra + 1)) + 1)
