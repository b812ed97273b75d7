"""What a node is planned with: arenas, edges, records, shifts, tables by token. Of node types it knows none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple, SupportsInt

import numpy as np

from ....program import Format, Program
from ....program.nodes import QUERY, Node
from ....program.reference.tokens import TokenTable, by_token
from .. import opcodes as o
from ..arenas import A8, A16, A32, A64, Arena, Place, Plan, fits_16
from ..kernels.bytes import packed_bytes, starts_of
from ..kernels.products import packed_long
from ..kernels.thin import is_thin, packed_thin
from ..kernels.tiles import ROWS, packed
from ..operations.calls import address
from ..operations.table import FUNCTIONS as OPERATIONS
from ..vectors.plain import LANES
from ..vectors.registers import MULTIPLIES_BYTES

BLOCK = 256
"""Events that a record works on at a time."""

TABLE_LIMIT = 1 << 22
"""Tables by token hold at most this many entries; beyond it nodes run event by event."""


class Edge(NamedTuple):
    """Rows that a record reads: the place in a64 of their count, their offset in its arena of values, channels."""

    rows_at: int
    offset: int
    channels: int


class Planner:
    """The plan of a program under construction. Nodes are added in the program's order, then ``finish`` closes it.

    A node is narrow (values in ``a16``, accumulators in ``a32``) where formats and bounds allow, else wide (both in
    ``a64``); an edge is converted once where its reader is of the other kind. What depends on the token alone is
    computed once a token, with the saturations that it counts, and looked up where somebody reads it.

    Attributes:
        tables: what depends on the token alone, by node; such nodes are not planned.
        rows_at: by rate, the place in a64 of how many rows its edges have in a block.
        events_at: by rate, the place in a64 of the events that these rows came with, counted from the block's start.
        head: the fixed places of ``a64`` (opcodes.py).
        gaps: the records of the gap inputs, as H_GAPS lists them.
    """

    def __init__(self, program: Program, trace: bool) -> None:
        self.program, self.trace = program, trace
        self.a16, self.a32, self.a64 = Arena(A16), Arena(A32), Arena(A64, head=o.HEAD)
        self.plan = Plan((self.a16, self.a32, self.a64))
        self.head = np.zeros(o.HEAD, dtype=np.int64)
        self.gaps: list[int] = []
        self.tables = by_token(program, TABLE_LIMIT)
        self._events: list[tuple[int, list[int]]] = []  # records and the rates that they run at
        self._takes: list[tuple[int, list[int]]] = []
        self._query: list[tuple[int, list[int]]] = []
        self._offsets: dict[tuple[str, int], int] = {}  # of edges, by name and arena
        self._tables: dict[str, int] = {}  # where they lie, by node
        self._number_counters()
        self._number_rows()

    def _number_counters(self) -> None:
        query = [node.name for node in self.program if self.program.rates[node.name] == QUERY]
        others = [node.name for node in self.program if self.program.rates[node.name] != QUERY]
        self.plan.saturations |= {name: self.reserve_state(self.a64, 1) for name in others}
        start = self.reserve_state(self.a64, len(query))  # in a row: every reading clears them
        self.plan.saturations |= {name: start + index for index, name in enumerate(query)}
        self.head[o.H_QUERY_COUNTERS], self.head[o.H_QUERY_COUNTER_COUNT] = start, len(query)

    def _number_rows(self) -> None:
        rates = sorted({*self.program.rates.values()} - {QUERY})
        start = self.reserve_index(len(rates) + 1, 0, BLOCK)
        self.rows_at = {rate: start + number for number, rate in enumerate([*rates, QUERY])}
        self.head[o.H_ROWS], self.head[o.H_RATES] = start, len(rates)
        self.events_at = {1: self.a64.put(np.arange(BLOCK))}
        self.events_at |= {rate: self.a64.reserve(BLOCK // rate + 1) for rate in rates if rate > 1}

    def rows_of(self, name: str) -> int:
        """The place in a64 of how many rows an edge has in a block."""
        return self.rows_at[self.program.rates[name]]

    def most_rows(self, name: str) -> int:
        """How many rows an edge may have in a block."""
        rate = self.program.rates[name]
        return 1 if rate == QUERY else BLOCK // rate + 1 if rate > 1 else BLOCK

    # Arenas

    def values(self, wide: bool) -> Arena:
        """The arena of values, weights and narrow states."""
        return self.a64 if wide else self.a16

    def accs(self, wide: bool) -> Arena:
        """The arena of accumulators and of what meets them: biases, shifts."""
        return self.a64 if wide else self.a32

    def put_shifts(self, shift: np.ndarray, wide: bool) -> list[int]:
        """Where left, half and right of rounding shifts (R,) lie among the accumulators."""
        return [self.accs(wide).put(part) for part in rounding(shift, wide)]

    def put_sum(self, bias: np.ndarray, shift: np.ndarray, wide: bool) -> list[int]:
        """Where left, ``(bias << left) + half`` and right of a rounded sum (R,) lie among the accumulators."""
        left, half, right = rounding(shift, wide)
        start = np.left_shift(bias.astype(np.int64), left) + half
        return [self.accs(wide).put(part) for part in (left, start, right)]

    def put_weights(self, weight: np.ndarray, arena: int, long: bool, format: Format) -> tuple[int, int]:
        """Where a matrix (O, K) lies in an arena that may be A8, packed for sums that are ``long``, or not.

        Beside it, where its sums of products of bytes start; -1 where they are of something else, since inputs of this
        ``format`` or the weights are larger, or the CPU has no such products.
        """
        whole = 0 if format.min >= 0 else 1 << 7
        if MULTIPLIES_BYTES and arena == A8 and not long and -whole <= format.min and format.max < (1 << 8) - whole:
            return self.put_bytes(packed_bytes(weight)), self.accs(long).put(starts_of(weight, whole))
        flat = packed_long(weight) if long else packed(weight)
        return (self.put_bytes(flat) if arena == A8 else self._arena(arena).put(flat)), -1

    def put_thin(self, weight: np.ndarray, stride: int, long: bool) -> tuple[int, int]:
        """Where a matrix of few weights lies once more, -1 where that does not pay, and scratch for its products, rows
        of ``stride``, among the accumulators."""
        thin = not long and is_thin(weight)
        place = self.accs(long).put(packed_thin(weight)) if thin else -1
        return place, self.accs(long).reserve((LANES if thin else ROWS) * stride)

    @cached_property
    def room(self) -> int:
        """Scratch among narrow values that holds LANES rows of any edge, turned."""
        return self.a16.reserve(LANES * max(-(-node.channels // LANES) * LANES for node in self.program))

    def put_bytes(self, codes: np.ndarray) -> int:
        """Where int8 codes lie, two in each entry of a16, counted in bytes."""
        flat = np.pad(codes.astype(np.int8).ravel(), (0, codes.size % 2))
        return 2 * self.a16.put(flat.view(np.int16))

    def _arena(self, number: int) -> Arena:
        return (self.a16, self.a32, self.a64)[number]

    def reserve_state(self, arena: Arena, size: int) -> int:
        """Zeros that a reset clears: a state, a sum, a counter."""
        start = arena.reserve(size)
        self.plan.changing.append((arena.number, start, size))
        return start

    def reserve_index(self, size: int, lowest: int, highest: int) -> int:
        """Zeros that a reset clears, by which the machine finds its way: places, tokens, counts of rows."""
        start = self.reserve_state(self.a64, size)
        self.plan.indices.append((start, size, lowest, highest))
        return start

    def name_states(self, node: Node, arena: Arena, channels: int, *offsets: int) -> None:
        """Say where the state of a node is found: parts of as many channels, in order."""
        self.plan.registers[node.name] = tuple(Place(arena.number, offset, channels, 0) for offset in offsets)

    def trace_states(self, node: Node) -> int:
        """Where the node's states after each event of a block go; -1 where they are not kept."""
        if not self.trace:
            return -1
        channels = node.state_fracs.size
        place = self.a64.reserve(self.most_rows(node.name) * channels)
        self.plan.states[node.name] = Place(A64, place, channels, self.rows_of(node.name))
        return place

    # Edges

    def place(self, node: Node, arena: int) -> int:
        """Reserve the rows of the node's edge; the first place is the one that it is made in."""
        name = node.name
        offset = self._arena(arena).reserve(self.most_rows(name) * node.channels)
        self._offsets[name, arena] = offset
        self.plan.edges.setdefault(name, Place(arena, offset, node.channels, self.rows_of(name)))
        return offset

    def edge(self, name: str, arena: int) -> Edge:
        """The rows of an edge in the wanted arena; converts it once if it was made in another."""
        made = self.arena_of(name)
        if (name, arena) not in self._offsets:
            source, node = self.edge(name, made), self.program[name]
            out = self.place(node, arena)
            self.emit(o.CONVERT, node, o.IS_NARROW, source, out, arenas=(made, arena, A32))
        return Edge(self.rows_of(name), self._offsets[name, arena], self.program[name].channels)

    def arena_of(self, name: str) -> int:
        """The arena that an edge is made in."""
        if name not in self.plan.edges:
            self._look_up(name)
        return self.plan.edges[name].arena

    def rows(self, name: str, arena: int) -> tuple[Edge, int]:
        """Rows of an edge, and -1; or those of a table that nobody else needs looked up, and where their tokens lie."""
        node = self.program[name]
        if (
            name not in self.tables
            or name in self.plan.edges
            or self.trace
            or arena != arena_for(not fits_16(node.output))
        ):
            return self.edge(name, arena), -1
        return Edge(self.rows_of(name), self._put_table(name), node.channels), self.token.offset

    def _put_table(self, name: str) -> int:
        if name not in self._tables:
            self._tables[name] = self.values(not fits_16(self.program[name].output)).put(self.tables[name].values)
        return self._tables[name]

    def _look_up(self, name: str) -> None:
        node, table = self.program[name], self.tables[name]
        wide = not fits_16(node.output)
        counts = self.a64.put(table.saturations) if table.saturations.any() else -1
        body = [self._put_table(name), counts]
        self.emit(o.TABLE, node, wide, self.token, self.place(node, arena_for(wide)), body)

    @property
    def token(self) -> Edge:
        """The tokens that tables are looked up by."""
        return self.edge(self.program.value_input.name, A64)

    def table_of(self, name: str, channels: int) -> TokenTable | None:
        """The table of an edge by token, where one of ``channels`` entries a token made from it is not too large."""
        table = self.tables.get(name)
        return table if table is not None and len(table.values) * channels <= TABLE_LIMIT else None

    # Records

    def emit(
        self,
        op: int,
        node: Node,
        kind: int,
        source: Edge,
        out: int,
        body: Sequence[SupportsInt] = (),
        *,
        arenas: tuple[int, int, int] | None = None,
        at: str | None = None,
    ) -> None:
        """Append a record: the fields that all have (opcodes.py), then its own (the docstring of its operation).

        ``kind`` is one of IS_NARROW, IS_WIDE, IS_MIXED, the first two as False and True; it tells the arenas x, y and z
        of the operation where they are not given. A record runs with the others of the edge ``at``, which is the node's
        own if not given: with the events, or behind a read-out.
        """
        low, high = max(node.output.min, -(1 << 63)), min(node.output.max, (1 << 63) - 1)
        counter, rate = self.plan.saturations[node.name], self.program.rates[at or node.name]
        arenas = arenas or {o.IS_NARROW: (A16, A16, A32), o.IS_WIDE: (A64, A64, A64), o.IS_MIXED: (A16, A16, A64)}[kind]
        code, length = address(OPERATIONS[op], arenas), o.BODY + len(body)
        fields = [op, length, kind, code, *arenas, length, counter, self.rows_of(node.name), out, node.channels]
        record = [int(field) for field in (*fields, low, high, *source, *body)]
        records = self._takes if op == o.TAKE else self._query if rate == QUERY else self._events
        records.append((self._rate_at(source.rows_at), record))

    def _rate_at(self, place: int) -> int:
        return next((rate for rate, at in self.rows_at.items() if at == place), 1)

    def finish(self) -> Plan:
        """The plan, with the logits as wide rows; without a trace, tables that nobody reads are counted alone."""
        program, head = self.program, self.head
        for name, table in self.tables.items():
            if name not in self.plan.edges:
                if self.trace:
                    self._look_up(name)
                elif table.saturations.any():
                    self.emit(o.COUNT, program[name], True, self.token, 0, [self.a64.put(table.saturations)])
        head[o.H_LOGITS] = self.edge(program.logits, A64).offset
        head[o.H_GAPS], head[o.H_GAP_COUNT] = self.a64.put(np.array(self.gaps)), len(program.gap_inputs)
        self.plan.changing += [(A64, int(head[o.H_GAPS]) + at, 1) for at in range(2, len(self.gaps), 3)]
        head[o.H_MAX_DURATION], head[o.H_MAX_EVENTS] = program.max_duration_us, program.max_events
        head[o.H_NEXT], head[o.H_BLOCK], head[o.H_DIRTY] = program.pairing == "next", BLOCK, 1
        parts = [_flat(records) for records in (self._events, self._takes, self._query)]
        starts = np.cumsum([self.a64.put(np.array([field for part in parts for field in part])), *map(len, parts)])
        head[o.H_START], head[o.H_TAKES], head[o.H_QUERY], head[o.H_END] = starts
        self.a64.pieces.append((0, head))
        return self.plan


def _flat(records: list[tuple[int, list[int]]]) -> list[int]:
    """Records one behind the other. Where one has no rows, those up to the next that runs more often have none."""
    skips: dict[int, int] = {}  # by rate, how far it is to the next record that runs at it
    end, flat = 0, []
    for rate, record in reversed(records):
        length = record[o.LENGTH]
        record[o.SKIP] = length + min((skip for other, skip in skips.items() if other < rate), default=end)
        skips = {other: skip + length for other, skip in skips.items()} | {rate: 0}
        end += length
        flat.append(record)
    return [field for record in reversed(flat) for field in record]


def arena_for(wide: bool) -> int:
    """The arena of values, wide or not."""
    return A64 if wide else A16


def rounding(shift: np.ndarray | int, wide: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(left, half, right)`` of a rounding shift, of the shape of ``shift``."""
    shift = np.asarray(shift, dtype=np.int64)
    right = np.maximum(shift, 0)
    return left_shift(-shift, wide), np.left_shift(np.int64(1), right) >> 1, right


def left_shift(shift: np.ndarray | int, wide: bool) -> np.ndarray:
    """``shift`` where it is to the left, else 0. A shift too long for the register moves zeros alone: it is cut."""
    return np.clip(np.asarray(shift, dtype=np.int64), 0, 62 if wide else 30)


NodePlanner = Callable[[Planner, Any], None]
"""(planner, node): puts the node's constants into arenas and its operation into the plan."""
