"""From a program to the flat records, constants and buffers that the compiled machine executes.

Every node becomes one operation, narrow (int16 values, int32 accumulators) where formats and bounds allow, else wide
(int64). What depends on the token alone (embedding, its norm, and B times it) is computed once a token and looked up;
the integers, and the saturations counted, stay the same.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....program import Program, ProgramError
from ....program.arithmetic import round_half_up_shift
from ....program.bounds import I32_LIMIT
from ....program.nodes import (
    QUERY,
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    LayerNorm,
    Linear,
    Lookup,
    Multiply,
    Node,
    Readout,
    TokenInput,
)
from ....program.reference.batch import Batch
from ....program.reference.interpreter import FUNCTIONS
from .. import opcodes as o
from ..arenas import A16, A64, Arena, Place, Plan, fits_16
from .loihi import plan_loihi
from .neurons import plan_integrators, plan_neurons

BLOCK = 64

TABLE_LIMIT = 1 << 22
"""Tables by token hold at most this many entries each; beyond it the node runs event by event."""


class Planner:
    """Walks through a program and writes its plan: one method a node type."""

    def __init__(self, program: Program, trace: bool, block: int) -> None:
        self.program, self.trace, self.block = program, trace, block
        self.a16, self.a32, self.a64 = Arena(np.int16), Arena(np.int32), Arena(np.int64, head=o.HEAD)
        self.plan = Plan(program, (self.a16, self.a32, self.a64))
        self.head = np.zeros(o.HEAD, dtype=np.int64)
        self.code: dict[bool, list[int]] = {False: [], True: []}
        self.places: dict[tuple[str, bool], int] = {}
        self.rows: dict[str, int] = {}
        self.folded: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.used_by = {name: [n for n in program if name in n.inputs] for name in program.by_name}
        self._counters()
        self._inputs()
        self._fold()
        for node in program:
            if node.name in self.folded:
                self._table(node)
            elif not isinstance(node, (TokenInput, DenseInput, GapInput)):
                self._planner_of(node)(node)
        self._edge(program.logits, True)
        self._finish()

    def _planner_of(self, node: Node) -> Callable[[Node], None]:
        planner = getattr(self, f"_{type(node).__name__}", None)
        if planner is None:
            raise ProgramError(f"node {node.name}: the simulator cannot run nodes of type {type(node).__name__}")
        return planner

    # Counters, inputs, head

    def _counters(self) -> None:
        query = [node for node in self.program if self.program.rates[node.name] == QUERY]
        others = [node for node in self.program if self.program.rates[node.name] != QUERY]
        for node in others:
            self.plan.saturations[node.name] = self._changing(self.a64, A64, 1)
        start = self._changing(self.a64, A64, len(query))
        for index, node in enumerate(query):
            self.plan.saturations[node.name] = start + index
        self.head[o.H_QUERY_COUNTERS], self.head[o.H_QUERY_COUNTER_COUNT] = start, len(query)

    def _inputs(self) -> None:
        program, head, source = self.program, self.head, self.program.value_input
        shared = self._changing(self.a64, A64, 1)
        for node in (source, *program.gap_inputs):
            self.rows[node.name] = shared
            self._place(node, True)
        records = []
        for node in program.gap_inputs:
            records += [node.unit_us, self.places[node.name, True], shared, 0]
        head[o.H_GAPS] = self.a64.put(np.array(records, dtype=np.int64))
        self.plan.changing += [(A64, int(head[o.H_GAPS]) + 4 * g + 3, 1) for g in range(len(program.gap_inputs))]
        head[o.H_GAP_COUNT] = len(program.gap_inputs)
        dense = isinstance(source, DenseInput)
        head[o.H_VALUES], head[o.H_VALUE_ROWS] = self.places[source.name, True], shared
        head[o.H_CHANNELS], head[o.H_DENSE] = source.channels, dense
        head[o.H_FRAC], head[o.H_LOW] = source.output.frac, source.output.min
        head[o.H_HIGH] = source.output.max
        head[o.H_INPUT_SATURATIONS] = self.plan.saturations[source.name]
        head[o.H_VOCAB] = 0 if dense else source.vocab
        head[o.H_MAX_DURATION], head[o.H_MAX_EVENTS] = program.max_duration_us, program.max_events
        head[o.H_PENDING] = self._changing(self.a64, A64, source.channels + 1)
        head[o.H_NEXT], head[o.H_BLOCK], head[o.H_DIRTY] = program.pairing == "next", self.block, 1

    def _finish(self) -> None:
        start = self.a64.put(np.array([*self.code[False], *self.code[True]], dtype=np.int64))
        self.head[o.H_START] = start
        self.head[o.H_QUERY] = start + len(self.code[False])
        self.head[o.H_END] = self.head[o.H_QUERY] + len(self.code[True])
        self.head[o.H_LOGITS] = self.places[self.program.logits, True]
        self.a64.pieces.append((0, self.head))
        for (name, wide), offset in self.places.items():
            if name not in self.plan.edges or wide == self._made_wide(name):
                arena = A64 if wide else A16
                self.plan.edges[name] = Place(arena, offset, self.program[name].channels, self.rows[name])

    def _made_wide(self, name: str) -> bool:
        return not self.plan.narrow.get(name, False)

    # Pieces

    def _changing(self, arena: Arena, index: int, size: int) -> int:
        start = arena.reserve(size)
        self.plan.changing.append((index, start, size))
        return start

    def _values(self, wide: bool) -> Arena:
        return self.a64 if wide else self.a16

    def _accs(self, wide: bool) -> Arena:
        return self.a64 if wide else self.a32

    def _place(self, node: Node, wide: bool) -> int:
        rows = 1 if self.program.rates[node.name] == QUERY else self.block
        self.places[node.name, wide] = self._values(wide).reserve(rows * node.channels)
        self.plan.narrow.setdefault(node.name, not wide)
        if node.name not in self.rows:
            own = node.stride > 1 or isinstance(node, Readout)
            self.rows[node.name] = self._changing(self.a64, A64, 1) if own else self.rows[node.inputs[0]]
        return self.places[node.name, wide]

    def _edge(self, name: str, wide: bool) -> int:
        """Where the edge lies in the wanted type; converts it once if it was made in the other."""
        if (name, wide) not in self.places:
            node, source = self.program[name], self.places[name, not wide]
            place = self._place(node, wide)
            self._emit(
                o.WIDEN if wide else o.NARROW, node, wide, place, (self.rows[name], source, node.channels), [], name
            )
        return self.places[name, wide]

    def _emit(
        self,
        op: int,
        node: Node,
        kind: int,
        place: int,
        source: tuple[int, int, int],
        body: list[int],
        at: str | None = None,
    ) -> None:
        record = [
            op,
            o.BODY + len(body),
            int(kind),
            self.plan.saturations[node.name],
            self.rows.get(node.name, 0),
            place,
            node.channels,
            max(node.output.min, -(1 << 63)),
            min(node.output.max, (1 << 63) - 1),
            *source,
            *body,
        ]
        query = self.program.rates[at or node.name] == QUERY
        self.code[query] += [int(value) for value in record]

    def _source(self, node: Node, wide: bool, index: int = 0) -> tuple[int, int, int]:
        name = node.inputs[index]
        edge = self._edge(name, wide)
        return self.rows[name], edge, self.program[name].channels

    def _shifts(self, shift: np.ndarray | int, wide: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(left, half, right)`` of a rounding shift. Shifts too long for the register move zeros alone."""
        shift = np.asarray(shift, dtype=np.int64)
        right = np.maximum(shift, 0)
        left = np.minimum(np.maximum(-shift, 0), 62 if wide else 30)
        return left, np.where(right > 0, np.left_shift(np.int64(1), np.maximum(right - 1, 0)), 0), right

    def _put_shifts(self, shift: np.ndarray, wide: bool) -> list[int]:
        return [self._accs(wide).put(part) for part in self._shifts(shift, wide)]

    def _traced(self, node: Node) -> int:
        """Where the state after each event of a block goes; -1 where it is not kept."""
        if not self.trace:
            return -1
        channels = node.state_fracs.size
        place = self.a64.reserve(self.block * channels)
        self.plan.states[node.name] = Place(A64, place, channels, self.rows[node.name])
        return place

    # What depends on the token alone

    def _fold(self) -> None:
        source = self.program.value_input
        if not isinstance(source, TokenInput):
            return
        vocab = source.vocab
        batch = Batch(self.program, np.ones(vocab, dtype=np.int64), trace=True)
        edges = {source.name: np.arange(vocab, dtype=np.int64)[:, None, None]}
        stateless = (Embedding, Linear, Lookup, Multiply, Add, BatchNorm, LayerNorm)
        for node in self.program:
            if not isinstance(node, stateless) or not all(edge in edges for edge in node.inputs):
                continue
            if vocab * node.channels <= TABLE_LIMIT or isinstance(node, Embedding):
                function = FUNCTIONS[type(node)]
                value = function(node, [edges[e] for e in node.inputs], np.ones((vocab, 1), dtype=bool), batch)
                edges[node.name] = value
                self.folded[node.name] = value[:, 0], batch.saturations[node.name]
        self.plan.tabulated |= set(self.folded)

    def _table(self, node: Node) -> None:
        values, counts = self.folded[node.name]
        token = self.program.value_input.name
        counts_at = self.a64.put(counts) if counts.any() else -1
        source = (self.rows[token], self.places[token, True], 1)
        self.rows[node.name] = self.rows[token]
        if self.trace or node.name == self.program.logits or any(not self._absorbs(n) for n in self.used_by[node.name]):
            wide = not fits_16(node.output)
            table = self._values(wide).put(values)
            self._emit(o.TABLE, node, wide, self._place(node, wide), source, [table, counts_at])
        elif counts_at >= 0:
            self._emit(o.COUNT, node, True, 0, source, [counts_at])

    def _absorbs(self, consumer: Node) -> bool:
        return consumer.name in self.folded or (isinstance(consumer, DiagonalSSM) and self._tabulates_drive(consumer))

    def _tabulates_drive(self, node: DiagonalSSM) -> bool:
        return node.inputs[0] in self.folded and len(self.folded[node.inputs[0]][0]) * node.channels <= TABLE_LIMIT

    # One method a node type

    def _Linear(self, node: Linear) -> None:
        wide = not all(fits_16(format) for format in (*node.formats, node.output)) or max(node.weight_widths) > 16
        long = wide or max(node.bounds().values()) >= I32_LIMIT
        kind = o.IS_WIDE if wide else o.IS_MIXED if long else o.IS_NARROW
        accs = self._accs(long)
        body = [accs.put(node.bias), *self._put_shifts(node.output_shift, long), accs.reserve(node.channels)]
        body.append(len(node.inputs))
        for index, (weight, shift) in enumerate(zip(node.weights, node.operand_shifts, strict=True)):
            _, edge, channels = self._source(node, wide, index)
            shifts = accs.put(np.minimum(shift, 62 if long else 30))
            body += [edge, channels, self._values(wide).put(weight), weight.ndim == 1, shifts]
        source = self._source(node, wide)
        self._emit(o.LINEAR, node, kind, self._place(node, wide), source, body)

    def _Lookup(self, node: Lookup) -> None:
        wide = not (fits_16(node.format) and fits_16(node.output))
        source = self._source(node, wide)
        body = [self._values(wide).put(node.table), node.format.min]
        self._emit(o.LOOKUP, node, wide, self._place(node, wide), source, body)

    def _pointwise_wide(self, node: Multiply | Add | BatchNorm) -> bool:
        formats = (*node.input_formats, node.output)
        return not all(fits_16(format) for format in formats) or max(node.bounds().values()) >= I32_LIMIT

    def _Multiply(self, node: Multiply) -> None:
        wide = self._pointwise_wide(node)
        source, second = self._source(node, wide), self._edge(node.inputs[1], wide)
        self._emit(o.MULTIPLY, node, wide, self._place(node, wide), source, [second, *self._shifts(node.shift, wide)])

    def _Add(self, node: Add) -> None:
        wide = self._pointwise_wide(node)
        body = [*self._shifts(node.output_shift, wide), self._accs(wide).reserve(node.size), len(node.inputs)]
        for edge, shift in zip(node.inputs, node.operand_shifts, strict=True):
            body += [self._edge(edge, wide), shift]
        source = self._source(node, wide)
        self._emit(o.ADD, node, wide, self._place(node, wide), source, body)

    def _BatchNorm(self, node: BatchNorm) -> None:
        wide = self._pointwise_wide(node) or node.multiplier_width > 16
        accs = self._accs(wide)
        body = [self._values(wide).put(node.multiplier), accs.put(node.bias), *self._put_shifts(node.shift, wide)]
        body += [accs.reserve(node.channels), accs.reserve(node.channels)]
        source = self._source(node, wide)
        self._emit(o.BATCH_NORM, node, wide, self._place(node, wide), source, body)

    def _LayerNorm(self, node: LayerNorm) -> None:
        wide = not (fits_16(node.format) and fits_16(node.output))
        gamma, beta = self.a64.put(node.gamma), self.a64.put(node.beta)
        body = [gamma, node.gamma.size, beta, node.beta.size, *node.shifts, node.root_shift, node.epsilon]
        source = self._source(node, wide)
        self._emit(o.LAYER_NORM, node, wide, self._place(node, wide), source, body)

    def _DiagonalSSM(self, node: DiagonalSSM) -> None:
        tabulated = self._tabulates_drive(node)
        narrow = (
            (tabulated or fits_16(node.format))
            and fits_16(node.output)
            and node.state_width <= 16
            and max(node.input_width, node.decay_width) <= 16
            and max(node.bounds().values()) < I32_LIMIT
        )
        wide, modes = not narrow, node.modes
        values, accs = self._values(wide), self._accs(wide)
        self.plan.clipped_gaps[node.name] = self._changing(self.a64, A64, 1)
        weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
        bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
        shift = np.tile(node.drive_shift, 2)
        gap, token = self._edge(node.inputs[1], True), self.places[self.program.value_input.name, True]
        if tabulated:
            codes = self.folded[node.inputs[0]][0]
            drives = accs.put(round_half_up_shift(codes @ weight.T + bias, shift))
            source = (self.rows[node.inputs[0]], 0, node.input_re.shape[1])
            drive = [drives, token, 0, 0, 0, 0, 0, 0, 0]
        else:
            source = self._source(node, wide)
            drive = [-1, token, values.put(weight), accs.put(bias), accs.reserve(2 * modes)]
            drive += [*self._put_shifts(shift, wide), accs.reserve(2 * modes)]
        state = self._changing(values, A64 if wide else A16, 2 * modes)
        decay = np.stack([node.decay_re, node.decay_im], axis=1)
        _, half, exponent = self._shifts(node.decay_exponent, wide)
        _, read_half, read_right = self._shifts(node.read_shift, True)
        place = self._place(node, wide)
        body = [gap, node.max_gap, self.plan.clipped_gaps[node.name], modes, node.discretization == "zoh", *drive]
        body += [state, node.state_format.min, node.state_format.max, values.put(decay), accs.put(half)]
        body += [accs.put(exponent), read_half, read_right, self._traced(node)]
        self._emit(o.SSM, node, wide, place, source, body)
        self.plan.registers[node.name] = (Place(A64 if wide else A16, state, 2 * modes, 0),)

    _LIF = _AdaptiveLIF = plan_neurons
    _LeakyIntegrator = plan_integrators
    _LoihiLIF = plan_loihi

    def _EventPool(self, node: EventPool) -> None:
        wide, wide_out = not fits_16(node.format), not fits_16(node.output)
        kind = o.IS_WIDE if wide else o.IS_MIXED if wide_out else o.IS_NARROW
        modes = {"first": o.POOL_FIRST, "sum": o.POOL_SUM, "mean": o.POOL_MEAN, "time": o.POOL_TIME}
        weights = self._edge(node.inputs[1], True) if node.mode == "time" else 0
        state = [self._changing(self.a64, A64, size) for size in (1, 1, node.size, node.size)]
        body = [modes[node.mode], node.window, node.divides, weights, *state]
        source = self._source(node, wide)
        self._emit(o.POOL, node, kind, self._place(node, wide or wide_out), source, body)

    def _Readout(self, node: Readout) -> None:
        modes = {"mean": o.TAKE_MEAN, "time": o.TAKE_TIME, "last": o.TAKE_LAST, "window": o.TAKE_WINDOW}
        modes["forget"] = o.TAKE_FORGET
        weights = gaps = gap_rows = 0
        if node.mode == "time":
            weights, gaps = self._edge(node.inputs[1], True), self._edge(node.inputs[2], True)
            gap_rows = self.rows[node.inputs[2]]
        held = node.size * max(node.window, 1)
        state = [self._changing(self.a64, A64, size) for size in (1, 1, 1, node.size, held)]
        self.plan.counts.append(state[0])
        body = [modes[node.mode], node.extra_bits, node.window, node.decay_shift, weights, gaps, gap_rows, *state]
        wide_in, wide_out = self._made_wide(node.inputs[0]), not fits_16(node.output)
        source = self._source(node, wide_in)
        place = self._place(node, wide_out)
        self._emit(o.TAKE, node, wide_in, 0, source, body, node.inputs[0])
        self._emit(o.READ_OUT, node, wide_out, place, source, body)
