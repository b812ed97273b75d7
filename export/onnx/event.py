"""What one event of a batch looks like inside a graph: edges, valid flags by rate, states before and after."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ...program import Program
from ...program.formats import Format
from ...program.nodes import Node
from .arithmetic import edge_dtype
from .graph import Graph


@dataclass(frozen=True)
class Carried:
    """A state that a backend carries from event to event: zeros (batch, *shape) at the start.

    ``parts`` are the names and columns of states that lie side by side in it, where it is more than one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    parts: tuple[tuple[str, int], ...] = ()


EVENTS = Carried("events", (1,), np.dtype(np.int64))
"""The number of valid events so far; every window's phase follows from it."""

NO_ROW = np.iinfo(np.int32).max
"""Beyond every table."""

ANSWER = "answer"
"""The state that holds the logits, less those before the first event, where they are written as they change."""

BEFORE, AFTER = "state/", "next/"
"""What goes before a state's name where it enters and where it leaves a graph."""


class EventGraph:
    """The tensors of one event. Writers read states here and leave new ones.

    Attributes:
        graph: where operations go now; a branch of it inside ``when``.
        edges: tensor names by program edge; (B, channels) each.
        before, after: tensor names by state name, before and after the event; (B, *shape) each.
        states: every state, in the order of its first use.
        is_valid: the flag of the event, (B,) bool.
    """

    def __init__(self, graph: Graph, traced: Mapping[str, int] | None = None, *, branches: bool = True) -> None:
        """Begin with no edges.

        Args:
            graph: where operations go.
            traced: channels of the edges that are outputs of the graph, by name.
            branches: skip what no sample needs (``when``); False for a graph without control flow.
        """
        self.graph = self._root = graph
        self._traced = dict(traced or {})
        self._branches = branches
        self.edges: dict[str, str] = {}
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.states: list[Carried] = []
        self.is_valid = ""
        self._flags: dict[tuple[int, ...], str] = {}

    def in_graph(self, graph: Graph) -> Self:
        """The same network in another graph, where no event has begun."""
        return type(self)(graph)

    def begin(self, valid: str) -> None:
        """Count the event. Shape of ``valid``: (B,) bool."""
        graph = self.graph
        graph.scope = "clock"
        self.is_valid = valid
        flag = graph.op("Unsqueeze", valid, graph.constant([1], np.int64), dtype=bool)
        self._flags[1, 0] = flag
        events = self.open(EVENTS)
        self.after[EVENTS.name] = graph.op("Add", events, graph.cast(flag, np.int64))

    def count(self, rate: int) -> str:
        """Valid events so far on edges of ``rate``: (B, 1) int64."""
        events = self.after[EVENTS.name]
        return events if rate == 1 else self.graph.op("Div", events, self.graph.like(rate, events))

    def valid(self, rate: int) -> str:
        """Whether edges of ``rate`` carry a valid value at this event: (B, 1) bool."""
        return self._flag(rate, 0)

    def first(self, rate: int, window: int) -> str:
        """Whether this event is valid at ``rate`` and the first of its window: (B, 1) bool."""
        return self._flag(rate * window, rate)

    def open(self, state: Carried) -> str:
        """Declare a state; gives its tensor before the event."""
        self.states.append(state)
        shape: list[int | str | None] = ["batch", *state.shape]
        self.before[state.name] = self._root.input(BEFORE + state.name, state.dtype, shape)
        return self.before[state.name]

    @contextlib.contextmanager
    def when(self, rate: int) -> Iterator[None]:
        """What is written inside runs at events where any sample of the batch is valid at ``rate``.

        New states keep their old values otherwise, and traced edges are 0. Without branches it always runs.
        """
        if not self._branches:
            yield
            return
        outer, edges, opened = self.graph, dict(self.edges), len(self.states)
        outer.scope = "clock"
        any_valid = outer.op("ReduceMax", outer.cast(self.valid(rate), np.int32), dtype=np.int32, keepdims=0)
        condition = outer.op("Greater", any_valid, outer.constant(0, np.int32))
        flags = dict(self._flags)
        outer.scope = f"every_{rate}"
        self.graph = outer.child("run")
        yield
        run, self.graph, self._flags = self.graph, outer, flags
        idle = outer.child("idle")
        states = self.states[opened:]
        kept = [edge for edge in self._traced if edge in self.edges and edge not in edges]
        for state in states:
            run.output(self.after[state.name], AFTER + state.name, ["batch", *state.shape])
            idle.output(self.before[state.name], AFTER + state.name, ["batch", *state.shape])
        for edge in kept:
            channels = self._traced[edge]
            run.output(self.edges[edge], f"edge/{edge}", ["batch", channels])
            zeros = idle.zeros(self.valid(1), [channels], run.dtypes[self.edges[edge]])
            idle.output(zeros, f"edge/{edge}", ["batch", channels])
        outputs = [outer.fresh("If") for _ in (*states, *kept)]
        dtypes = [*(state.dtype for state in states), *(run.dtypes[self.edges[edge]] for edge in kept)]
        branches = {"then_branch": run.build(), "else_branch": idle.build()}
        if outputs:  # what nothing reads and no state keeps is left out
            outer.ops("If", condition, outputs=outputs, dtypes=dtypes, **branches)
        self.after |= dict(zip((state.name for state in states), outputs, strict=False))
        self.edges = edges | dict(zip(kept, outputs[len(states) :], strict=True))

    def set(self, name: str, value: str) -> str:
        """Store a new state; ``value`` already keeps the old one where the event is not valid."""
        self.after[name] = value
        return value

    def keep_unless_valid(self, name: str, value: str, rate: int) -> str:
        """Store ``value`` where the event is valid at ``rate``; gives the tensor after the event."""
        return self.set(name, self.graph.op("Where", self.valid(rate), value, self.before[name]))

    def _flag(self, period: int, phase: int) -> str:
        """Valid, and the count of events is ``phase`` modulo ``period``."""
        if (period, phase) not in self._flags:
            graph, scope = self.graph, self.graph.scope
            graph.scope = "clock"
            events = self.after[EVENTS.name]
            rest = graph.op("Mod", events, graph.like(period, events))
            due = graph.op("Equal", rest, graph.like(phase % period, rest))
            self._flags[period, phase] = graph.op("And", self._flags[1, 0], due)
            graph.scope = scope
        return self._flags[period, phase]


class ProgramEvent(EventGraph):
    """One event of a program: its nodes' writers read edges here too.

    Attributes:
        program: what is written.
        tables: what depends on the token alone, by edge (``tables.py``).
        token: the tensor of the events' tokens, (B,).
        answer: the logits before the first event, (C,), where a state holds them (`ANSWER`).
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        traced: Sequence[str] = (),
        *,
        branches: bool = True,
        scanned: bool = False,
    ) -> None:
        """As `EventGraph`; ``traced`` are edges of ``program``, ``scanned`` says that a Scan carries the states."""
        known = {name: program[name].channels for name in traced if name in program.by_name}
        super().__init__(graph, known, branches=branches)
        self.program = program
        self.tables: Mapping[str, np.ndarray] = {}
        self.token = ""
        self.answer: np.ndarray | None = None
        self._row: str | None = None

    def in_graph(self, graph: Graph) -> Self:
        return type(self)(graph, self.program)

    def close(self) -> None:
        """Called once, when every node up to the read-outs is written."""

    def final(self, name: str) -> str:
        """A state after the event, once every node up to the read-outs is written."""
        return self.after[name]

    def answers_at(self, rate: int) -> bool:
        """Whether read-outs are written where they change, at events of ``rate``, and their logits kept."""
        return False

    def answering(self, rate: int) -> contextlib.AbstractContextManager[None]:
        """What is written inside are the read-outs, of which the logits are kept."""
        return contextlib.nullcontext()

    def repeats(self, edge: str) -> bool:
        """Whether an edge is a state, the last value of which is there to be read behind the read-outs."""
        return False

    def edge_dtype(self, format: Format) -> np.dtype:
        """The element type of an edge."""
        return edge_dtype(format)

    def integers(self, tensor: str, format: Format | None = None) -> str:
        """An edge of ``format``, or a state, as an output of the graph."""
        return tensor

    @property
    def layout(self) -> dict[str, tuple[str, int, int]]:
        """Where states lie in the graph's inputs and outputs: the name after the slash, first column and size."""
        return {state.name: (state.name, 0, math.prod(state.shape)) for state in self.states}

    def inputs_of(self, node: Node) -> list[str]:
        """The tensors that ``node`` reads."""
        return [self.edges[edge] for edge in node.inputs]

    def look_up(self, table: np.ndarray, dtype: np.dtype) -> str:
        """The row of ``table`` (vocab, channels) for the event's token; an event that is not valid reads token 0.

        ``Gather`` counts negative numbers from the end; here they lie outside, where runtimes refuse tokens.
        """
        graph = self.graph
        known = graph.constant(table[: self.program.value_input.code_range[1] + 1], dtype)
        return graph.op("Gather", known, self.row(), dtype=dtype, axis=0)

    def row(self) -> str:
        """The token of each event, and a row beyond every table where it is none."""
        graph = self.graph
        if self._row is None:
            token = self.token
            below = graph.op("Less", token, graph.like(0, token))
            given = graph.op("Where", below, graph.like(NO_ROW, token), token)
            self._row = graph.op("Where", self.is_valid, given, graph.like(0, token))
        return self._row
