"""The program: an acyclic graph of nodes with checked edges and rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from .errors import ProgramError
from .nodes import GAP_FORMAT, QUERY, VALUE, WEIGHT, GapInput, Node, ValueInput
from .nodes.check import MOST_CHANNELS

PAIRINGS = ("causal", "next")
_LONGEST = 1 << 60
MOST_NODES = 1 << 13
LONGEST_STEP_US = 1 << 40

Kind = TypeVar("Kind", bound=Node)


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
        self._check_size()
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

    def of_type(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """The nodes of one type, in order."""
        return tuple(node for node in self.nodes if isinstance(node, kind))

    @cached_property
    def value_input(self) -> ValueInput:
        """The node that takes the event's token or its dense values."""
        return self.of_type(ValueInput)[0]

    @cached_property
    def gap_inputs(self) -> tuple[GapInput, ...]:
        """The gaps that the program reads, each in its own unit."""
        return self.of_type(GapInput)

    @cached_property
    def read_outs(self) -> tuple[Node, ...]:
        """The nodes that reduce events to a running value."""
        return tuple(node for node in self.nodes if node.reads_out)

    @cached_property
    def chip(self) -> str:
        """The chip whose own arithmetic its neurons have; empty: Pumice's."""
        return next((node.chip for node in self.nodes if node.chip), "")

    @cached_property
    def rates(self) -> dict[str, int]:
        """Events of the input per event of each edge; ``QUERY`` (0) behind a read-out."""
        rates: dict[str, int] = {}
        for node in self.nodes:
            rates[node.name] = node.rate([rates[edge] for edge in node.inputs])
        return rates

    @property
    def clocked(self) -> bool:
        """Whether every input row is one time step: no node asks for the time between events."""
        return not self.gap_inputs

    @cached_property
    def series(self) -> str | None:
        """The edge whose value at every step is an output in its own right, what a read-out makes the logits of.

        The potentials of leaky integrators, the spikes of Loihi's neurons, or what the logits hold the last of, such as
        a decoder at every event; None where a program decides once a recording.
        """
        for node in self.read_outs:
            source = self.by_name[node.inputs[0]]
            if source.is_series or (node.latches and node.name == self.logits):
                return source.name
        return None

    @cached_property
    def max_events(self) -> int:
        """Events of one recording or stream for which every read-out's 64-bit sums hold."""
        limits = [node.sum_limit * self.rates[node.inputs[0]] for node in self.read_outs if node.sum_limit]
        return min([*limits, _LONGEST])

    @cached_property
    def max_duration_us(self) -> int:
        """Microseconds from the first to the last event for which all gaps and time-weighted sums hold."""
        limits = [(GAP_FORMAT.max - 1) * node.unit_us for node in self.gap_inputs]
        weighing = [(node.sum_limit, node.edge(WEIGHT)) for node in self.nodes if node.edge(WEIGHT)]
        return min([*limits, *((limit - 1) * self.unit_us(edge) for limit, edge in weighing), _LONGEST])

    def unit_us(self, edge: str) -> int:
        """Microseconds of a tick on an edge of gaps, however often they were pooled."""
        units = {node.name: node.unit_us for node in self.gap_inputs}
        while edge not in units:
            edge = self.by_name[edge].inputs[0]
        return units[edge]

    def parallel_depth(self) -> int:
        """The longest chain of nodes."""
        depth: dict[str, int] = {}
        for node in self.nodes:
            depth[node.name] = 1 + max((depth[edge] for edge in node.inputs), default=0)
        return max(depth.values())

    def _check_size(self) -> None:
        """What runs a program takes memory by node and channel, whatever a file declares."""
        if len(self.nodes) > MOST_NODES:
            raise ProgramError(f"{len(self.nodes)} nodes are above the limit of {MOST_NODES}")
        if (channels := sum(node.channels for node in self.nodes)) > MOST_CHANNELS:
            raise ProgramError(f"all nodes together have {channels} channels, the limit is {MOST_CHANNELS}")
        if not all(isinstance(name, str) and name.isprintable() for name in self.class_names):
            raise ProgramError("class names are printable texts")
        if not isinstance(self.provenance, Mapping):
            raise ProgramError("provenance is a mapping, of plain JSON data")

    def _check_edges(self) -> None:
        seen: dict[str, Node] = {}
        gaps = {node.name for node in self.gap_inputs}
        for node in self.nodes:
            if node.name in seen:
                raise ProgramError(f"two nodes are called {node.name!r}; names must be unique")
            if not node.is_input and not node.inputs:
                raise ProgramError(f"node {node.name}: has no input")
            if len(node.inputs) != len(node.input_formats):
                raise ProgramError(f"node {node.name}: {len(node.inputs)} inputs, {len(node.input_formats)} expected")
            expected = zip(node.inputs, node.input_formats, node.input_channels, node.roles, strict=True)
            for edge, format, channels, role in expected:
                if edge not in seen:
                    raise ProgramError(f"node {node.name}: reads {edge!r}, which no earlier node makes")
                source = seen[edge]
                if source.output != format:
                    raise ProgramError(f"edge {edge} -> {node.name}: carries {source.output}, {format} is expected")
                if source.channels != channels:
                    raise ProgramError(
                        f"edge {edge} -> {node.name}: carries {source.channels} channels, {channels} are expected"
                    )
                if role != VALUE and edge not in gaps:
                    raise ProgramError(f"edge {edge} -> {node.name}: carries values, gaps are expected")
                node.check_source(source)
            seen[node.name] = node
            if node.output == GAP_FORMAT and node.inputs and gaps.issuperset(node.inputs):
                gaps.add(node.name)

    def _check_step(self, step_us: int) -> None:
        if isinstance(step_us, bool) or not isinstance(step_us, int) or not 1 <= step_us <= LONGEST_STEP_US:
            raise ProgramError(f"a step of {step_us!r} us is no whole number of 1 to {LONGEST_STEP_US} us")
        if not self.clocked:
            raise ProgramError("a program that reads gaps has no steps; leave step_us out")

    def _check_inputs(self) -> None:
        values = self.of_type(ValueInput)
        if len(values) != 1:
            raise ProgramError(f"a program has one token or dense input, not {len(values)}")
        units = [node.unit_us for node in self.gap_inputs]
        if len(set(units)) != len(units):
            raise ProgramError("two gap inputs share one unit; use a single one")
        for node in self.nodes:
            if node.keeps_state and any(self.rates[edge] == QUERY for edge in node.inputs):
                raise ProgramError(f"node {node.name}: keeps state behind a read-out; only stateless nodes may")
