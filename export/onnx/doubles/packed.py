"""The states of a stream in two tensors: a runtime takes microseconds for each that enters or leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import onnx

from ....program import Program, reference
from ....program.formats import Format
from ....program.nodes import GAP_FORMAT, QUERY, DiagonalSSM, EventPool, Readout
from ..arithmetic import edge_dtype
from ..event import AFTER, ANSWER, BEFORE, EVENTS, Carried, ProgramEvent
from ..graph import Graph
from .arithmetic import DOUBLE, SINGLE

CODES, SUMS = "codes", "sums"
"""The packs: whole numbers of up to 32 bits, and what int64 holds. Both begin with the states of the full rate."""

BEYOND = np.iinfo(np.int64).max
"""A row beyond every table."""

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_PACKS: dict[str, np.dtype] = {CODES: _INT32, SUMS: _INT64}


def held(width: int) -> np.dtype:
    """The element type of a state of ``width`` bits: a code, or int64."""
    return DOUBLE if width <= 32 else _INT64


def first_pool(program: Program, node: DiagonalSSM) -> EventPool | None:
    """The pool of first events that alone reads ``node``, if that is so."""
    readers = [other for other in program if node.name in other.inputs]
    return next((pool for pool in program.of_type(EventPool) if readers == [pool] and pool.mode == "first"), None)


@dataclass
class _Frame:
    """The states of one rate, and behind them those of all slower ones as one piece."""

    graph: Graph
    packs: dict[str, str]
    states: dict[str, list[Carried]] = field(default_factory=lambda: {CODES: [], SUMS: []})
    slower: dict[str, list[Carried]] = field(default_factory=lambda: {CODES: [], SUMS: []})
    pieces: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    def all(self, pack: str) -> list[Carried]:
        return [*self.states[pack], *self.slower[pack]]


class PackedEvent(ProgramEvent):
    """An event whose states enter and leave in packs, each of which is kept as a whole where the event is not valid.

    Writers leave what a state becomes at a valid event (``set``); what it really is after the event is asked by
    ``final``, once everything is written.
    """

    def __init__(
        self,
        graph: Graph,
        program: Program,
        traced: Sequence[str] = (),
        *,
        branches: bool = True,
        scanned: bool = False,
        packs: Mapping[str, Sequence[Carried]] | None = None,
    ) -> None:
        """As `ProgramEvent`; ``packs`` are those of an event that is written already."""
        super().__init__(graph, program, traced, branches=branches)
        self._scanned = scanned
        self._frames = [_Frame(graph, {pack: f"{graph.prefix}{pack}" for pack in _PACKS})]
        self._layout = dict(packs or {})
        self._pieces: dict[str, str] = {}
        self._whole: dict[str, str] = {}
        self._inside = 0

    def in_graph(self, graph: Graph) -> Self:
        return type(self)(graph, self.program, scanned=self._scanned, packs=self._layout)

    def begin(self, valid: str) -> None:
        graph = self.graph
        graph.scope = "clock"
        self.is_valid = valid
        self._flags[1, 0] = graph.op("Unsqueeze", valid, graph.constant([1], np.int64), dtype=bool)
        rates = {rate for rate in self.program.rates.values() if rate != QUERY}
        if len(rates) > 1 or any(node.mode not in ("last",) for node in self.program.of_type(Readout)):
            events = self.open(EVENTS)
            self.set(EVENTS.name, graph.op("Add", events, graph.constant(1, np.int64)))

    def open(self, state: Carried) -> str:
        frame = self._frames[-1]
        frame.states[SUMS if state.dtype == _INT64 else CODES].append(state)
        name = frame.pieces[state.name] = frame.graph.fresh("before")
        frame.graph.dtypes[name] = _INT64 if state.dtype == _INT64 else DOUBLE
        self.before[state.name] = name
        return name

    def set(self, name: str, value: str) -> str:
        self._frames[-1].after[name] = self.after[name] = value
        for frame in self._frames:
            if name in frame.pieces:
                frame.after[name] = value
        return value

    def keep_unless_valid(self, name: str, value: str, rate: int) -> str:
        return self.set(name, value)

    @contextlib.contextmanager
    def when(self, rate: int) -> Iterator[None]:
        outer, edges = self.graph, dict(self.edges)
        frame, names = self._frames[-1], {pack: outer.fresh(pack) for pack in (CODES, SUMS)}
        outer.dtypes |= {names[CODES]: DOUBLE, names[SUMS]: _INT64}
        condition = self._any_valid(rate)
        flags = dict(self._flags)
        outer.scope = f"every_{rate}"
        self.graph = outer.child("run") if self._branches else outer
        inner = _Frame(self.graph, names)
        self._frames.append(inner)
        yield
        self._frames.pop()
        run, self.graph, self._flags = self.graph, outer, flags
        packs = [pack for pack in (CODES, SUMS) if inner.all(pack)]
        for pack in packs:
            frame.slower[pack] = inner.all(pack)
            frame.pieces[f"/{pack}"] = names[pack]
        found = {pack: self._close(inner, pack, rate) for pack in packs}
        if self._branches:
            found = self._branch(condition, run, names, found, edges)
        frame.after |= {f"/{pack}": tensor for pack, tensor in found.items()}

    def _branch(
        self, condition: str, run: Graph, names: Mapping[str, str], found: dict[str, str], edges: dict[str, str]
    ) -> dict[str, str]:
        outer = self.graph
        idle = outer.child("idle")
        kept = [edge for edge in self._traced if edge in self.edges and edge not in edges]
        for pack, tensor in found.items():
            run.output(tensor, AFTER + pack, ["batch", None])
            idle.output(names[pack], AFTER + pack, ["batch", None])
        for edge in kept:
            channels = self._traced[edge]
            run.output(self.edges[edge], f"edge/{edge}", ["batch", channels])
            idle.output(
                idle.zeros(self.valid(1), [channels], run.dtypes[self.edges[edge]]),
                f"edge/{edge}",
                ["batch", channels],
            )
        outputs = [outer.fresh("If") for _ in (*found, *kept)]
        dtypes = [*(run.dtypes[tensor] for tensor in found.values()), *(run.dtypes[self.edges[e]] for e in kept)]
        if outputs:
            branches = {"then_branch": run.build(), "else_branch": idle.build()}
            outer.ops("If", condition, outputs=outputs, dtypes=dtypes, **branches)
        self.edges = edges | dict(zip(kept, outputs[len(found) :], strict=True))
        return dict(zip(found, outputs, strict=False))

    def close(self) -> None:
        """Put the packs together, once every node up to the read-outs is written."""
        (frame,) = self._frames
        self.states = []
        for pack in (CODES, SUMS):
            states = self._layout[pack] = frame.all(pack)
            if states:
                dtype = DOUBLE if self._scanned and pack == CODES else _PACKS[pack]
                carried = Carried(pack, (sum(state.shape[0] for state in states),), dtype)
                self.states.append(carried)
                self.before[pack] = given = frame.graph.input(BEFORE + pack, carried.dtype, ["batch", *carried.shape])
                if carried.dtype != _INT32:
                    frame.packs[pack] = given
                frame.graph.dtypes[frame.packs[pack]] = _INT64 if pack == SUMS else DOUBLE
                after = self._close(frame, pack, 1)
                if carried.dtype == _INT32:
                    frame.graph.first("Cast", given, outputs=[frame.packs[pack]], to=onnx.TensorProto.DOUBLE)
                self._whole[pack] = after
                self.after[pack] = frame.graph.cast(after, carried.dtype)

    def _close(self, frame: _Frame, pack: str, rate: int) -> str:
        """The pack after the event: pieces at its beginning, and what became of them where the event is valid."""
        graph = frame.graph
        graph.scope = "clock"
        pieces = [state.name for state in frame.states[pack]]
        sizes = [state.shape[0] for state in frame.states[pack]]
        if frame.slower[pack]:
            pieces.append(f"/{pack}")
            sizes.append(sum(state.shape[0] for state in frame.slower[pack]))
        names = [frame.pieces[piece] for piece in pieces]
        graph.first("Split", frame.packs[pack], graph.constant(sizes, np.int64), outputs=names, axis=1)
        after = [frame.after[piece] for piece in pieces]
        whole = after[0] if len(after) == 1 else graph.op("Concat", *after, axis=1)
        return graph.op("Where", self.valid(rate), whole, frame.packs[pack])

    def starts(self, rate: int, window: int) -> str:
        """Whether a valid event at ``rate`` is the first of its window: (B, 1) bool."""
        return self._due(rate * window, rate)

    def goes_on(self, rate: int, window: int) -> str:
        """Whether a valid event at ``rate`` is not the first of its window: (B, 1) bool."""
        key = (rate * window, -1)
        if key not in self._flags:
            before = self._before(rate * window)
            self._flags[key] = self._clock("Greater", before, self.graph.like(rate - 1, before))
        return self._flags[key]

    def counted(self, rate: int) -> str:
        """Valid events on edges of ``rate``, this one included: (B, 1) int64."""
        events = self.after[EVENTS.name]
        return events if rate == 1 else self.graph.op("Div", events, self.graph.like(rate, events))

    def count(self, rate: int) -> str:
        if self._inside:
            return self.counted(rate)
        events = self.final(EVENTS.name)
        return events if rate == 1 else self.graph.op("Div", events, self.graph.like(rate, events))

    def answers_at(self, rate: int) -> bool:
        """Where a stride lies before all that read-outs collect, and none of their values is traced."""
        program, readouts = self.program, self.program.of_type(Readout)
        known = all(program.rates[edge] == rate for node in readouts for edge in node.inputs)
        traced = any(program.rates[edge] == QUERY for edge in self._traced)
        return rate > 1 and known and not (self._scanned or traced) and self._branches

    @contextlib.contextmanager
    def answering(self, rate: int) -> Iterator[None]:
        self._inside = rate
        yield
        self._inside = 0
        logits, program = self.graph.cast(self.edges[self.program.logits], DOUBLE), self.program
        none = np.zeros((int(program.pairing == "next"), *program.value_input.event_shape), np.int64)
        (trace,) = reference.run(program, [(none, np.zeros(len(none), np.int64))], trace=False)
        self.answer, graph = trace.logits, self.graph
        graph.scope = program.logits
        dtype = held(program[program.logits].output.width + 1)
        old = self.open(Carried(ANSWER, self.answer.shape, dtype))
        self.edges[program.logits] = old
        self.set(ANSWER, graph.cast(graph.op("Sub", logits, graph.like(self.answer, logits)), dtype))

    def reads_late(self, node: DiagonalSSM) -> bool:
        """Whether the codes that are read from a state are made where its pool of first events is read."""
        return first_pool(self.program, node) is not None and node.name not in self._traced

    def row(self) -> str:
        """A negative token becomes one beyond every table, as a remainder of `BEYOND`."""
        graph = self.graph
        if self._row is None:
            given = graph.op("Where", self.is_valid, self.token, graph.constant(0, np.int64))
            self._row = graph.op("Mod", given, graph.constant(BEYOND, np.int64))
        return self._row

    def repeats(self, edge: str) -> bool:
        return not self._scanned and self.program.rates[edge] == 1 and self.program[edge].is_series

    def edge_dtype(self, format: Format) -> np.dtype:
        return _INT64 if format == GAP_FORMAT else DOUBLE

    def integers(self, tensor: str, format: Format | None = None) -> str:
        if self.graph.dtypes[tensor] not in (DOUBLE, SINGLE):
            return tensor
        return self.graph.cast(tensor, _INT32 if format is None else edge_dtype(format))

    @property
    def layout(self) -> dict[str, tuple[str, int, int]]:
        found: dict[str, tuple[str, int, int]] = {}
        for pack, states in self._layout.items():
            parts = [part for state in states for part in state.parts or [(state.name, state.shape[0])]]
            ends = np.cumsum([0, *(size for _, size in parts)]).tolist()
            found |= {name: (pack, start, size) for (name, size), start in zip(parts, ends, strict=False)}
        return found

    def _flag(self, period: int, phase: int) -> str:
        if (period, phase) not in self._flags:
            self._flags[period, phase] = self.graph.op("And", self._flags[1, 0], self._due(period, phase % period))
        return self._flags[period, phase]

    def _due(self, period: int, phase: int) -> str:
        """Whether the count of events, this one included, is ``phase`` modulo ``period``."""
        key = (period, phase, 0)
        if key not in self._flags:
            before = self._before(period)
            self._flags[key] = self._clock("Equal", before, self.graph.like((phase - 1) % period, before))
        return self._flags[key]

    def _before(self, period: int) -> str:
        """The number of events before this one, modulo ``period``: (B, 1) int64."""
        if (period,) not in self._flags:
            events = self.before[EVENTS.name]
            self._flags[period,] = self._clock("Mod", events, self.graph.like(period, events))
        return self._flags[period,]

    def _any_valid(self, rate: int) -> str:
        """Whether any sample of the batch is valid at ``rate``: a scalar."""
        graph, before = self.graph, self._before(rate)
        if (0,) not in self._flags:
            self._flags[0,] = graph.cast(self._flags[1, 0], np.int64)
        most = self._clock("ReduceMax", self._clock("Add", before, self._flags[0,]), keepdims=0)
        return self._clock("Equal", most, graph.like(rate, most))

    def _clock(self, kind: str, *inputs: str, **attributes: Any) -> str:
        graph, scope = self.graph, self.graph.scope
        graph.scope = "clock"
        found = graph.op(kind, *inputs, **attributes)
        graph.scope = scope
        return found

    def final(self, name: str) -> str:
        """A state after the event, whether that is valid or not; for read-outs."""
        if self._inside:
            return self.after[name]
        if name not in self._pieces:
            (pack, start, size), graph = self.layout[name], self.graph
            edges = [graph.constant([edge], np.int64) for edge in (start, start + size, 1)]
            whole = self._whole.get(pack) or self.after[pack]
            self._pieces[name] = graph.op("Slice", whole, *edges, dtype=graph.dtypes[whole])
        return self._pieces[name]
