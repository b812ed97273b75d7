"""The executable form of the program's arithmetic: plain numpy int64, one function a node, vectorised over the batch.

This is the oracle that every kernel and backend is held against, so it is written to be read: whole samples, padded
into a batch; sequence nodes are loops over events; no table, shortcut or trick that the node's equation does not name.
It needs numpy and ``quantize.program`` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..quantize.program import Format, Program, ProgramError
from ..quantize.program.arithmetic import (
    integer_sqrt,
    round_half_up_real,
    round_half_up_shift,
    rounded_divide,
    saturate,
)
from ..quantize.program.clock import gaps
from ..quantize.program.nodes import (
    LIF,
    QUERY,
    AdaptiveLIF,
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    LoihiLIF,
    Lookup,
    Multiply,
    Node,
    Readout,
    TokenInput,
)
from .reference_loihi import loihi_lif
from .reference_neurons import adaptive_lif, leaky_integrator, lif

Sample = tuple[np.ndarray, np.ndarray]
"""Tokens (L,) or dense values (L, size), and times (L,) in integer microseconds, not decreasing."""


@dataclass
class Trace:
    """What one sample did.

    Attributes:
        logits: the read-out's scores after the last event, (classes,) int64.
        incomplete: no window was complete, so that a read-out saw no event.
        saturations: clipped components by node, over all stores at valid events; behind a read-out only the last
            read counts. Every node has an entry.
        clipped_gaps: gaps above the longest that the decays hold, by DiagonalSSM node.
        values: every edge, (events at its rate, channels) int64; behind a read-out one row an input event, what is
            read right after it. Empty unless traced.
        states: by node, what it holds beside its output after each event, (events, channels) int64: real, then
            imaginary codes of a DiagonalSSM; u, then w of neurons. Empty unless traced.
        series: the values of the program's ``series`` at every step, (events, channels) int64; None where it has none.
    """

    logits: np.ndarray
    incomplete: bool
    saturations: dict[str, int]
    clipped_gaps: dict[str, int]
    values: dict[str, np.ndarray] = field(default_factory=dict)
    states: dict[str, np.ndarray] = field(default_factory=dict)
    series: np.ndarray | None = None


def run(program: Program, samples: Sequence[Sample], *, trace: bool = True, batch_size: int = 32) -> list[Trace]:
    """Run whole samples, each from the zero state; one trace a sample, in their order.

    With ``trace=False`` only logits, counters and flags are kept, and read-outs are read once, at the end.

    Raises:
        ProgramError: a token outside the vocabulary, NaN or wrong shapes in dense values, times that go backwards or
            a recording too long for 64-bit sums; names the sample and the event.
    """
    encoded = [encode(program, sample, index) for index, sample in enumerate(samples)]
    traces: list[Trace] = []
    for start in range(0, len(encoded), batch_size):
        traces += _run_batch(program, encoded[start : start + batch_size], trace)
    return traces


def check_shapes(program: Program, sample: Sample) -> Sample:
    """Values and times as arrays of the program's shapes and kinds.

    Raises:
        ProgramError: wrong shapes, tokens or times that are not integers, or values that are not real numbers.
    """
    values, times = np.asarray(sample[0]), np.asarray(sample[1])
    source = program.value_input
    dense = isinstance(source, DenseInput)
    wanted = (times.size, source.size) if dense else (times.size,)
    if times.ndim != 1 or values.shape != wanted:
        raise ProgramError(
            f"values have shape {values.shape} and times {times.shape}; {wanted} and one time an event are expected"
        )
    for what, array in (("times", times), *(() if dense else (("tokens", values),))):
        if array.dtype.kind not in "iu" and array.size:
            raise ProgramError(f"{what} are {array.dtype}; give integers")
    if dense and values.dtype.kind not in "iuf":
        raise ProgramError(f"values are {values.dtype}; give real numbers")
    if dense:
        return values.astype(np.float64), times.astype(np.int64)
    return values.astype(np.int64), times.astype(np.int64)


def check(program: Program, sample: Sample, index: int) -> Sample:
    """As ``check_shapes``; also every token, value and time.

    Raises:
        ProgramError: names the sample, the event and the fix.
    """
    try:
        values, times = check_shapes(program, sample)
        gaps(times, 1)
    except ProgramError as error:
        raise ProgramError(f"sample {index}: {error}") from None
    duration = int(times[-1]) - int(times[0]) if times.size else 0
    if duration > program.max_duration_us or times.size > program.max_events:
        raise ProgramError(
            f"sample {index}: {times.size} events in {duration} us exceed what 64-bit sums hold, "
            f"{program.max_events} events and {program.max_duration_us} us; cut the recording"
        )
    source = program.value_input
    if isinstance(source, TokenInput):
        wrong, reason = (values < 0) | (values >= source.vocab), f"lies outside [0, {source.vocab})"
    else:
        wrong, reason = ~np.isfinite(values).all(axis=1), "holds NaN or infinity"
    if wrong.any():
        event = int(np.argmax(wrong))
        raise ProgramError(f"sample {index}, event {event}: {values[event]} {reason}; encode it as in training")
    return values, times


def encode(program: Program, sample: Sample, index: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Check one sample and cut it into the program's inputs: values (L, channels), gaps (L, 1) by node name."""
    values, times = check(program, sample, index)
    between = {node.name: gaps(times, node.unit_us, program.pairing)[:, None] for node in program.gap_inputs}
    if program.pairing == "next":
        values = values[:-1]
    return values.reshape(len(values), -1 if len(values) else program.value_input.channels), between


class Batch:
    """The padded batch that node functions work on: lengths, edges so far, counters."""

    def __init__(self, program: Program, lengths: np.ndarray, trace: bool) -> None:
        self.program = program
        self.lengths = lengths
        self.trace = trace
        self.edges: dict[str, np.ndarray] = {}
        self.states: dict[str, np.ndarray] = {}
        self.incomplete = np.zeros(len(lengths), dtype=bool)
        self.saturations = {node.name: np.zeros(len(lengths), dtype=np.int64) for node in program}
        self.clipped_gaps = {
            node.name: np.zeros(len(lengths), dtype=np.int64) for node in program if isinstance(node, DiagonalSSM)
        }

    @property
    def events(self) -> int:
        """Events of the longest sample."""
        return int(self.lengths.max(initial=0))

    def valid(self, rate: int) -> np.ndarray:
        """Which rows of an edge of this rate belong to the sample and count, (B, rows) bool.

        Behind a read-out row k is the value after k events; the row that counts is the last.
        """
        if rate == QUERY:
            rows = np.arange(self.events + 1) if self.trace else self.lengths[:, None]
            return np.equal(rows, self.lengths[:, None])
        return np.arange(self.events // rate) < (self.lengths // rate)[:, None]

    def store(self, node: Node, value: np.ndarray, format: Format, valid: np.ndarray) -> np.ndarray:
        """Saturate ``value`` (B, ..., channels) to ``format``; count what clips where ``valid`` (B, ...)."""
        stored, clipped = saturate(value, format)
        counted = clipped & valid[..., None]
        self.saturations[node.name] += counted.reshape(len(self.lengths), -1).sum(axis=1)
        return stored


def _run_batch(
    program: Program, encoded: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]], trace: bool
) -> list[Trace]:
    batch = Batch(program, np.array([len(values) for values, _ in encoded], dtype=np.int64), trace)
    last_use = {edge: node.name for node in program for edge in node.inputs}
    for node in program:
        valid = batch.valid(program.rates[node.name])
        if isinstance(node, GapInput):
            value = _pad([between[node.name] for _, between in encoded], batch.events)
        elif isinstance(node, TokenInput):
            value = _pad([values for values, _ in encoded], batch.events)
        elif isinstance(node, DenseInput):
            value = dense_input(node, _pad([values for values, _ in encoded], batch.events), valid, batch)
        else:
            value = function_of(node)(node, [batch.edges[edge] for edge in node.inputs], valid, batch)
        batch.edges[node.name] = value
        if not trace:
            for edge in node.inputs:
                if last_use[edge] == node.name and edge not in (program.logits, program.series):
                    batch.edges.pop(edge, None)
    return [_trace_of(batch, sample) for sample in range(len(encoded))]


def _pad(arrays: Sequence[np.ndarray], events: int) -> np.ndarray:
    padded = np.zeros((len(arrays), events, arrays[0].shape[1]), dtype=arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def _trace_of(batch: Batch, sample: int) -> Trace:
    program, length = batch.program, int(batch.lengths[sample])
    result = Trace(
        logits=batch.edges[program.logits][sample, length if batch.trace else 0].copy(),
        incomplete=bool(batch.incomplete[sample]),
        saturations={name: int(count[sample]) for name, count in batch.saturations.items()},
        clipped_gaps={name: int(count[sample]) for name, count in batch.clipped_gaps.items()},
    )
    if program.series is not None:
        result.series = batch.edges[program.series][sample, :length].copy()
    if batch.trace:
        for name, value in batch.edges.items():
            rate = program.rates[name]
            rows = slice(1, length + 1) if rate == QUERY else slice(0, length // rate)
            result.values[name] = value[sample, rows].copy()
        for name, state in batch.states.items():
            result.states[name] = state[sample, : length // program.rates[name]].copy()
    return result


# Node functions: (node, inputs (B, rows, channels) int64 each, valid rows of the output (B, rows), batch) -> output.


def dense_input(node: DenseInput, values: np.ndarray, valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``q = sat(floor(x 2**frac + 1/2))`` in float64: the host's quantization of real values."""
    scaled = round_half_up_real(values * 2.0**node.output.frac)
    limited = np.clip(scaled, -(2.0**62), 2.0**62)  # stays an int64; the format is far narrower
    return batch.store(node, limited.astype(np.int64), node.output, valid)


def embedding(node: Embedding, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(table[token]))``."""
    rows = node.table.astype(np.int64)[inputs[0][..., 0]]
    return batch.store(node, round_half_up_shift(rows, node.shift), node.output, valid)


def linear(node: Linear, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y_r = sat(rhu((sum_i W_i x_i)_r + b_r))``: one exact sum, one rounding."""
    total = node.bias.astype(np.int64)
    for weight, shift, x in zip(node.weights, node.operand_shifts, inputs, strict=True):
        weight = weight.astype(np.int64)
        product = weight * x if weight.ndim == 1 else x @ weight.T
        total = total + np.left_shift(product, shift)
    return batch.store(node, round_half_up_shift(total, node.output_shift), node.output, valid)


def lookup(node: Lookup, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = table[q - min]``."""
    return node.table.astype(np.int64)[inputs[0] - node.format.min]


def multiply(node: Multiply, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(a b))``."""
    return batch.store(node, round_half_up_shift(inputs[0] * inputs[1], node.shift), node.output, valid)


def add(node: Add, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(rhu(sum_i x_i))``."""
    total = sum(np.left_shift(x, shift) for x, shift in zip(inputs, node.operand_shifts, strict=True))
    return batch.store(node, round_half_up_shift(total, node.output_shift), node.output, valid)


def batch_norm(node: BatchNorm, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y_c = sat(rhu((multiplier_c x_c + bias_c) / 2**shift_c))``."""
    total = node.multiplier.astype(np.int64) * inputs[0] + node.bias.astype(np.int64)
    return batch.store(node, round_half_up_shift(total, node.shift), node.output, valid)


def layer_norm(node: LayerNorm, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``y = sat(floor((2 p + q) / (2 q)))`` with p and q as the node states them."""
    x, size = inputs[0], node.size
    a, b, c = node.shifts
    total = x.sum(axis=-1, keepdims=True)
    variance = size * (x * x).sum(axis=-1, keepdims=True) - total * total
    root = integer_sqrt((variance + node.epsilon) << (2 * node.root_shift))
    numerator = (size * x - total) << a
    if node.gamma.size:
        numerator = numerator * node.gamma.astype(np.int64)
    if node.beta.size:
        numerator = numerator + node.beta.astype(np.int64) * (root << b)
    return batch.store(node, rounded_divide(numerator, root << c), node.output, valid)


def diagonal_ssm(node: DiagonalSSM, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """The diagonal recurrence, event by event; the state after each event is kept when traced."""
    u, gap = inputs[0], inputs[1][..., 0]
    clipped = np.minimum(gap, node.max_gap)
    batch.clipped_gaps[node.name] += ((gap > node.max_gap) & valid).sum(axis=1)
    v_re = u @ node.input_re.astype(np.int64).T + node.bias_re.astype(np.int64)
    v_im = u @ node.input_im.astype(np.int64).T + node.bias_im.astype(np.int64)
    v_re, v_im = round_half_up_shift(v_re, node.drive_shift), round_half_up_shift(v_im, node.drive_shift)
    samples, events = gap.shape
    re = im = np.zeros((samples, node.modes), dtype=np.int64)
    states = np.zeros((samples, events, 2 * node.modes), dtype=np.int64)
    for k in range(events):
        n, live = clipped[:, k], valid[:, k]
        if node.discretization == "zoh":
            moving = (n > 0)[:, None]
            held_re = _store_state(node, re + v_re[:, k], live & (n > 0), batch)
            held_im = _store_state(node, im + v_im[:, k], live & (n > 0), batch)
            held_re, held_im = _decay(node, held_re, held_im, n, live, batch)
            held_re = _store_state(node, held_re - v_re[:, k], live & (n > 0), batch)
            held_im = _store_state(node, held_im - v_im[:, k], live & (n > 0), batch)
            re, im = np.where(moving, held_re, re), np.where(moving, held_im, im)
        else:
            re, im = _decay(node, re, im, n, live, batch)
            re = _store_state(node, re + v_re[:, k], live, batch)
            im = _store_state(node, im + v_im[:, k], live, batch)
        states[:, k] = np.concatenate([re, im], axis=1)
    if batch.trace:
        batch.states[node.name] = states
    return batch.store(node, round_half_up_shift(states, node.read_shift), node.output, valid)


def _store_state(node: DiagonalSSM, value: np.ndarray, live: np.ndarray, batch: Batch) -> np.ndarray:
    return batch.store(node, value, node.state_format, live)


def _decay(
    node: DiagonalSSM, re: np.ndarray, im: np.ndarray, gap: np.ndarray, live: np.ndarray, batch: Batch
) -> tuple[np.ndarray, np.ndarray]:
    """The decays of the gap's binary digits, least significant first; both components from the old state."""
    for digit in range(node.digits):
        chosen = (gap >> digit) & 1 == 1
        if not chosen.any():
            continue
        d_re, d_im = node.decay_re[digit].astype(np.int64), node.decay_im[digit].astype(np.int64)
        exponent = node.decay_exponent[digit]
        step_re = round_half_up_shift(d_re * re - d_im * im, exponent)
        step_im = round_half_up_shift(d_re * im + d_im * re, exponent)
        new_re = _store_state(node, re + step_re, live & chosen, batch)
        new_im = _store_state(node, im + step_im, live & chosen, batch)
        re, im = np.where(chosen[:, None], new_re, re), np.where(chosen[:, None], new_im, im)
    return re, im


def event_pool(node: EventPool, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """One output a complete window: its first value, exact sum, mean or time-weighted mean."""
    rows = valid.shape[1]

    def windows(edge: np.ndarray) -> np.ndarray:
        return edge[:, : rows * node.window].reshape(len(edge), rows, node.window, edge.shape[-1])

    x = windows(inputs[0])
    if node.mode == "first":
        return x[:, :, 0]
    plain = x.sum(axis=2)
    if node.mode == "time":
        weights = windows(inputs[1])
        weight = weights.sum(axis=2)
        empty = weight == 0
        numerator = np.where(empty, plain, (weights * x).sum(axis=2))
        plain = rounded_divide(numerator, np.where(empty, node.window, weight))
    elif node.divides:
        plain = rounded_divide(plain, np.int64(node.window))
    return batch.store(node, plain, node.output, valid)


def readout(node: Readout, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """The running value after 0, 1, 2, ... input events (traced), or after the last alone."""
    program = batch.program
    rate = program.rates[node.inputs[0]]
    x = inputs[0]
    samples, _, channels = x.shape
    zeros = np.zeros((samples, channels), dtype=np.int64)
    reader = _Reader(node, zeros)
    arrived = batch.valid(rate)
    live = batch.valid(1)
    rows = [reader.value()]
    for event in range(batch.events):
        if node.mode == "time":
            reader.pass_time(inputs[2][:, event], live[:, event])
        if (event + 1) % rate == 0:
            k = (event + 1) // rate - 1
            weight = inputs[1][:, k] if node.mode == "time" else None
            reader.take(x[:, k], weight, arrived[:, k])
        if batch.trace:
            rows.append(reader.value())
    if not batch.trace:
        rows = [reader.value()]
    batch.incomplete |= reader.count[:, 0] == 0
    return batch.store(node, np.stack(rows, axis=1), node.output, valid)


class _Reader:
    """The sums of a read-out over a batch; rows that are not valid leave them as they are."""

    def __init__(self, node: Readout, zeros: np.ndarray) -> None:
        self.node = node
        self.count = np.zeros((len(zeros), 1), dtype=np.int64)
        self.weight = np.zeros((len(zeros), 1), dtype=np.int64)
        self.total = zeros
        self.weighted = zeros
        self.held = zeros
        self.recent: list[np.ndarray] = [zeros] * node.window

    def pass_time(self, gap: np.ndarray, live: np.ndarray) -> None:
        """A gap (B, 1) at full rate."""
        self.weight = self.weight + np.where(live[:, None], gap, 0)

    def take(self, x: np.ndarray, weight: np.ndarray | None, arrived: np.ndarray) -> None:
        """A value (B, channels), its weight (B, 1), and in which samples it is there (B,)."""
        node, there = self.node, arrived[:, None]
        scaled = x << node.extra_bits
        if weight is not None:
            self.weighted = self.weighted + np.where(there, weight * x, 0)
        if node.mode == "forget":
            moved = self.held + round_half_up_shift(scaled - self.held, node.decay_shift)
            self.held = np.where(there, np.where(self.count == 0, scaled, moved), self.held)
        elif node.mode == "last":
            self.held = np.where(there, scaled, self.held)
        elif node.mode == "window":
            older = [*self.recent[1:], x]
            self.recent = [np.where(there, new, old) for new, old in zip(older, self.recent, strict=True)]
        self.total = self.total + np.where(there, x, 0)
        self.count = self.count + there

    def value(self) -> np.ndarray:
        """The value as it stands, (B, channels), before saturation."""
        node = self.node
        if node.mode in ("last", "forget"):
            return self.held
        if node.mode == "window":
            return rounded_divide(sum(self.recent) << node.extra_bits, np.minimum(self.count, node.window))
        if node.mode == "time":
            empty = self.weight == 0
            numerator = np.where(empty, self.total, self.weighted)
            return rounded_divide(numerator << node.extra_bits, np.where(empty, self.count, self.weight))
        return rounded_divide(self.total << node.extra_bits, self.count)


NodeFunction = Callable[[Node, list[np.ndarray], np.ndarray, Batch], np.ndarray]

FUNCTIONS: dict[type[Node], NodeFunction] = {
    Add: add,
    AdaptiveLIF: adaptive_lif,
    LIF: lif,
    LeakyIntegrator: leaky_integrator,
    BatchNorm: batch_norm,
    DiagonalSSM: diagonal_ssm,
    Embedding: embedding,
    EventPool: event_pool,
    LayerNorm: layer_norm,
    Linear: linear,
    LoihiLIF: loihi_lif,
    Lookup: lookup,
    Multiply: multiply,
    Readout: readout,
}


def function_of(node: Node) -> NodeFunction:
    """The function of a node's type.

    Raises:
        ProgramError: there is none; names the node.
    """
    if type(node) not in FUNCTIONS:
        raise ProgramError(f"node {node.name}: the reference cannot run nodes of type {type(node).__name__}")
    return FUNCTIONS[type(node)]
