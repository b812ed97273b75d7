"""What a node is planned with: arenas, edges, records, shifts, tables by token. Of node types it knows none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, SupportsInt

import numpy as np

from ....program import Program
from ....program.nodes import QUERY, Node
from ....program.reference.tokens import TokenTable, by_token
from .. import opcodes as o
from ..arenas import A16, A32, A64, Arena, Place, Plan, fits_16

BLOCK = 64
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
        rows_at: by edge, the place in a64 of how many rows it has in a block.
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
        self._records: dict[bool, list[int]] = {False: [], True: []}  # by whether they run behind a read-out
        self._offsets: dict[tuple[str, bool], int] = {}  # of edges, by name and whether they are wide
        self._number_counters()
        self.input_rows = self.reserve_rows()
        self.rows_at = dict.fromkeys(self.tables, self.input_rows)

    def _number_counters(self) -> None:
        query = [node.name for node in self.program if self.program.rates[node.name] == QUERY]
        others = [node.name for node in self.program if self.program.rates[node.name] != QUERY]
        self.plan.saturations |= {name: self.reserve_state(self.a64, 1) for name in others}
        start = self.reserve_state(self.a64, len(query))  # in a row: every reading clears them
        self.plan.saturations |= {name: start + index for index, name in enumerate(query)}
        self.head[o.H_QUERY_COUNTERS], self.head[o.H_QUERY_COUNTER_COUNT] = start, len(query)

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

    def reserve_rows(self) -> int:
        """The place of how many rows an edge has in a block."""
        return self.reserve_index(1, 0, BLOCK)

    def name_states(self, node: Node, arena: Arena, channels: int, *offsets: int) -> None:
        """Say where the state of a node is found: parts of as many channels, in order."""
        self.plan.registers[node.name] = tuple(Place(arena.number, offset, channels, 0) for offset in offsets)

    def trace_states(self, node: Node) -> int:
        """Where the node's states after each event of a block go; -1 where they are not kept."""
        if not self.trace:
            return -1
        channels = node.state_fracs.size
        place = self.a64.reserve(BLOCK * channels)
        self.plan.states[node.name] = Place(A64, place, channels, self.rows_at[node.name])
        return place

    # Edges

    def place(self, node: Node, wide: bool) -> int:
        """Reserve the rows of the node's edge; the first place is the one that it is made in."""
        name, rates = node.name, self.program.rates
        values = self.values(wide)
        offset = values.reserve((1 if rates[name] == QUERY else BLOCK) * node.channels)
        self._offsets[name, wide] = offset
        if name not in self.rows_at:
            if not node.inputs:
                self.rows_at[name] = self.input_rows
            elif rates[name] == rates[node.inputs[0]]:
                self.rows_at[name] = self.rows_at[node.inputs[0]]
            else:
                self.rows_at[name] = self.reserve_rows()
        self.plan.edges.setdefault(name, Place(values.number, offset, node.channels, self.rows_at[name]))
        return offset

    def edge(self, name: str, wide: bool) -> Edge:
        """The rows of an edge in the wanted type; converts it once if it was made in the other."""
        if self.is_wide(name) != wide and (name, wide) not in self._offsets:
            source, op = self.edge(name, not wide), o.WIDEN if wide else o.NARROW
            self.emit(op, self.program[name], wide, source, self.place(self.program[name], wide))
        return Edge(self.rows_at[name], self._offsets[name, wide], self.program[name].channels)

    def is_wide(self, name: str) -> bool:
        """Whether an edge is made wide."""
        if name not in self.plan.edges:
            self._look_up(name)
        return self.plan.edges[name].arena == A64

    def _look_up(self, name: str) -> None:
        node, table = self.program[name], self.tables[name]
        wide = not fits_16(node.output)
        counts = self.a64.put(table.saturations) if table.saturations.any() else -1
        body = [self.values(wide).put(table.values), counts]
        self.emit(o.TABLE, node, wide, self.token, self.place(node, wide), body)

    @property
    def token(self) -> Edge:
        """The tokens that tables are looked up by."""
        return self.edge(self.program.value_input.name, True)

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
        at: str | None = None,
    ) -> None:
        """Append a record: the fields that all have (opcodes.py), then its own (the docstring of its operation).

        ``kind`` is one of IS_NARROW, IS_WIDE, IS_MIXED, the first two as False and True. It runs with the other records
        of the edge ``at``, which is the node's own if not given: with the events, or behind a read-out.
        """
        low, high = max(node.output.min, -(1 << 63)), min(node.output.max, (1 << 63) - 1)
        counter, rows = self.plan.saturations[node.name], self.rows_at[node.name]
        fields = [op, o.BODY + len(body), kind, counter, rows, out, node.channels, low, high, *source, *body]
        self._records[self.program.rates[at or node.name] == QUERY] += [int(field) for field in fields]

    def finish(self) -> Plan:
        """The plan, with the logits as wide rows; without a trace, tables that nobody reads are counted alone."""
        program, head = self.program, self.head
        for name, table in self.tables.items():
            if name not in self.plan.edges:
                if self.trace:
                    self._look_up(name)
                elif table.saturations.any():
                    self.emit(o.COUNT, program[name], True, self.token, 0, [self.a64.put(table.saturations)])
        head[o.H_LOGITS] = self.edge(program.logits, True).offset
        head[o.H_GAPS], head[o.H_GAP_COUNT] = self.a64.put(np.array(self.gaps)), len(program.gap_inputs)
        self.plan.changing += [(A64, int(head[o.H_GAPS]) + at, 1) for at in range(3, len(self.gaps), 4)]
        head[o.H_MAX_DURATION], head[o.H_MAX_EVENTS] = program.max_duration_us, program.max_events
        head[o.H_NEXT], head[o.H_BLOCK], head[o.H_DIRTY] = program.pairing == "next", BLOCK, 1
        events, query = self._records[False], self._records[True]
        head[o.H_START] = self.a64.put(np.array([*events, *query]))
        head[o.H_QUERY] = head[o.H_START] + len(events)
        head[o.H_END] = head[o.H_QUERY] + len(query)
        self.a64.pieces.append((0, head))
        return self.plan


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
