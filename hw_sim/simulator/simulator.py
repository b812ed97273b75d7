"""A live stream through the compiled machine, one event or one chunk at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from operator import index
from typing import Any, NoReturn

import numpy as np

from ...program import Program, ProgramError
from ...program.arrays import reals
from ...program.samples import check_shapes
from ...program.steps import EMPTY_STEPS, whole_steps
from . import machine
from .arenas import A64, DTYPES, Place, Plan
from .compiled import DIGEST
from .opcodes import (
    ADVANCE,
    BACKWARDS,
    H_DIRTY,
    H_EVENTS,
    H_LAST,
    H_LOGITS,
    H_STATE,
    HEAD,
    NOT_FINITE,
    OUTSIDE,
    READ,
    STEP,
)
from .operations.calls import packed
from .plan.make import make_plan

ARENAS = ("a16", "a32", "a64")
"""Names of what a snapshot holds, by the number of the arena."""
LONG = 1 << 62
"""Tokens and times below it fit the machine's integers."""
_FAULTS = {
    OUTSIDE: "its token is outside the vocabulary; encode the events as the model was trained",
    NOT_FINITE: "it holds NaN or infinity; clean the input first",
}


class Simulator:
    """Runs a live stream event by event; the state is carried from call to call.

    An event that is refused changes nothing. The integers do not depend on how a stream is cut into calls.

    Args:
        program: what to run.
        trace: keep every edge readable after a call.
        plan: of the program, where it is made already.
        empty_steps: of a clocked program that knows the length of its steps: "refuse" events that leave steps out, or
            "fill" these in with rows of zeros, as a host does that is called by events alone. What lies after the last
            event is the host's to say: a row of zeros at the last step fills in all before it.
    """

    def __init__(
        self, program: Program, *, trace: bool = False, plan: Plan | None = None, empty_steps: str = "refuse"
    ) -> None:
        if empty_steps not in EMPTY_STEPS:
            raise ProgramError(f"empty_steps={empty_steps!r} is unknown; use one of {', '.join(EMPTY_STEPS)}")
        self.program, self._empty_steps = program, empty_steps
        self._plan = plan or make_plan(program, trace=trace)
        self._a16, self._a32, self._a64 = self._plan.build()
        source = program.value_input
        self._dense = bool(source.event_shape)
        self._token, self._time = np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
        self._values = np.zeros(source.event_shape or (0,))
        self._classes = len(program.class_names)
        self._row = np.zeros(self._classes + 1, dtype=np.int64)
        self._logits = self._row[:-1]
        self._event = self._packed(self._token, self._time, self._values, self._row)
        self._nothing = self._packed(self._token[:0], self._time[:0], self._values[:0], self._row)
        self._by_token = not self._dense and program.step_us is None

    def step(self, value: int | np.ndarray, time_us: int) -> tuple[np.ndarray, bool]:
        """Take one event and read the logits.

        Returns:
            The logits (classes,), which stand at any time (the decoder's bias before the first window is complete),
            and ``valid``: whether a read-out took a new value with this event.

        Raises:
            ProgramError: a time before the last event's, a token outside the vocabulary, NaN, a step that was left
                out, or a stream too long for the read-out's sums. The state is as it was before.
        """
        if not (self._by_token and type(value) is type(time_us) is int and 0 <= value < LONG > time_us >= 0):
            self._take_event(value, time_us)
        else:  # nothing to look at that the machine does not
            self._token[0], self._time[0] = value, time_us
        if self.program.step_us is not None:
            logits, valid = self.step_many(self._values[None] if self._dense else self._token, self._time)
            return logits[0], bool(valid[0])
        fault, taken = machine.feed(self._event, STEP, self._classes)
        if fault:
            raise self._refusal(fault, 0, self._time)
        return self._logits.copy(), taken == 1

    def _take_event(self, value: int | np.ndarray, time_us: int) -> None:
        try:
            if self._dense:
                if type(value) is not np.ndarray or value.dtype.kind not in "iufb":
                    value = reals("values", value)
                if value.shape != self._values.shape:
                    raise ValueError(f"shape {value.shape} was given")
                self._values[:] = value
            else:
                self._token[0] = _whole(value)
            self._time[0] = _whole(time_us)
        except (TypeError, ValueError, OverflowError) as error:
            wanted = f"{self._values.shape[0]} values" if self._dense else "an integer token"
            raise ProgramError(f"an event is {wanted} and a time in whole microseconds: {error}") from None

    def advance(self, values: np.ndarray, times_us: np.ndarray) -> None:
        """Take a chunk of events without reading the logits; a chunk with a bad event is refused whole."""
        tokens, times, dense, _ = self._chunk(values, times_us)
        self._feed(tokens, times, dense, ADVANCE, self._row)

    def step_many(self, values: np.ndarray, times_us: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Step through a chunk: logits after each event (L, classes) int64 and valid (L,) bool."""
        tokens, times, dense, rows = self._chunk(values, times_us)
        out = np.zeros((len(times), self._classes + 1), dtype=np.int64)
        self._feed(tokens, times, dense, STEP, out)
        out = out[rows] if 0 < len(rows) < len(out) else out
        return out[:, :-1], out[:, -1] == 1

    def read(self) -> np.ndarray:
        """The logits as they stand, (classes,) int64."""
        machine.feed(self._nothing, READ, self._classes)
        start = self._a64[H_LOGITS]
        return self._a64[start : start + self._classes].copy()

    def _packed(self, tokens: np.ndarray, times: np.ndarray, dense: np.ndarray, out: np.ndarray) -> Any:
        return packed(self._a16, self._a32, self._a64, tokens, times, dense, out)

    def _feed(self, tokens: np.ndarray, times: np.ndarray, dense: np.ndarray, how: int, out: np.ndarray) -> None:
        fault, event = machine.feed(self._packed(tokens, times, dense, out.reshape(-1)), how, self._classes)
        if fault:
            raise self._refusal(fault, event, times)

    def decision(self) -> tuple[int, str]:
        """The running decision: index and class name of the highest logit, ties to the lowest index."""
        winner = int(np.argmax(self.read()))
        return winner, self.program.class_names[winner]

    def reset(self) -> None:
        """Back to the zero state: no events, no sums, counters at zero."""
        arenas = (self._a16, self._a32, self._a64)
        for arena, start, size in self._plan.changing:
            arenas[arena][start : start + size] = 0
        self._a64[H_STATE:HEAD] = 0
        self._a64[H_DIRTY] = 1

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied or pickled: a simulator knows the addresses of its arrays."""
        raise TypeError("a Simulator is not copied; make another one of the program, and restore a snapshot")

    def snapshot(self) -> dict[str, np.ndarray]:
        """All that the stream remembers, as arrays by name; `restore` goes on from there, in this or another process.

        It belongs to the program, and to the machine of `layout`.
        """
        arenas, parts = (self._a16, self._a32, self._a64), [[np.zeros(0, dtype)] for dtype in DTYPES]
        for arena, start, size in self._plan.changing:
            parts[arena].append(arenas[arena][start : start + size])
        parts[A64].append(self._a64[H_STATE:HEAD])
        return {name: np.concatenate(part) for name, part in zip(ARENAS, parts, strict=True)}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Go on from what `snapshot` gave.

        Raises:
            ProgramError: arrays of another shape, or numbers that no stream of this program leaves behind. The state is
                as it was before.
        """
        own = self.snapshot()
        if {name: (array.shape, array.dtype) for name, array in snapshot.items()} != {
            name: (array.shape, array.dtype) for name, array in own.items()
        }:
            raise ProgramError("the state is none of this program and simulator; start the stream anew")
        self._write(snapshot)
        places = [(self._a64[at : at + size], low, high) for at, size, low, high in self._plan.indices]
        if any(((found < low) | (found > high)).any() for found, low, high in places) or self.events < 0:
            self._write(own)
            raise ProgramError("the state holds numbers that no stream of this program has; start the stream anew")
        self._a64[H_DIRTY] = 1

    def _write(self, snapshot: Mapping[str, np.ndarray]) -> None:
        arenas, taken = (self._a16, self._a32, self._a64), [0, 0, 0]
        for arena, start, size in self._plan.changing:
            from_ = taken[arena]
            arenas[arena][start : start + size] = snapshot[ARENAS[arena]][from_ : from_ + size]
            taken[arena] += size
        self._a64[H_STATE:HEAD] = snapshot[ARENAS[A64]][taken[A64] :]

    @property
    def arenas(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All that the machine holds: int16, int32, int64. Whoever changes them changes the stream."""
        return self._a16, self._a32, self._a64

    @property
    def layout(self) -> str:
        """A digest of what the numbers of a `snapshot` mean: the plan's states and the sources of the machine."""
        sizes = [(arena, size) for arena, _, size in self._plan.changing]
        return hashlib.sha256(repr((DIGEST, sizes)).encode()).hexdigest()

    @property
    def events(self) -> int:
        """Events taken since the last reset."""
        return int(self._a64[H_EVENTS])

    @property
    def incomplete(self) -> bool:
        """Whether a read-out has not yet seen an event: no window is complete."""
        return any(self._a64[at] == 0 for at in self._plan.counts)

    @property
    def saturations(self) -> dict[str, int]:
        """Clipped components by node since the reset; behind a read-out, of the last reading."""
        return {node.name: int(self._a64[self._plan.saturations[node.name]]) for node in self.program}

    @property
    def clipped_gaps(self) -> dict[str, int]:
        """Gaps clipped to the longest that the decays hold, by node."""
        return {name: int(self._a64[at]) for name, at in self._plan.clipped_gaps.items()}

    def state(self, name: str) -> np.ndarray:
        """The state of a node now, as traces hold it: (2 P,) int64 of a DiagonalSSM, u, then w of neurons."""
        return np.concatenate([self._take(place, 1) for place in self._plan.registers[name]], axis=1)[0]

    def edge_rows(self, name: str) -> np.ndarray:
        """The rows that an edge got in the last block of events, (rows, channels) int64; any edge's if traced.

        A chunk of at most BLOCK events (plan/planner.py) is one block.
        """
        place = self._plan.edges[name]
        return self._take(place, int(self._a64[place.rows_at]))

    def state_rows(self, name: str) -> np.ndarray:
        """The state of a node after each event of the last block, (rows, channels) int64; if traced."""
        place = self._plan.states[name]
        return self._take(place, int(self._a64[place.rows_at]))

    def _take(self, place: Place, rows: int) -> np.ndarray:
        arena = (self._a16, self._a32, self._a64)[place.arena]
        flat = arena[place.offset : place.offset + rows * place.channels]
        return flat.reshape(rows, place.channels).astype(np.int64)

    def _chunk(self, values: np.ndarray, times_us: np.ndarray) -> tuple[np.ndarray, ...]:
        """Tokens and times (n,), dense values (n size,) or (0,), and of clocked programs the row of each event given.

        Arrays that are what the machine takes stay where they are: a copy of dense values costs as much as a layer.
        """
        kind, times = np.float64 if self._dense else np.int64, times_us
        if not (_is_plain(values, kind) and _is_plain(times, np.int64) and values.shape == self._wanted(times)):
            values, times = check_shapes(self.program, (values, times_us))
        rows = np.zeros(0, dtype=np.int64)
        if self.program.step_us is not None:
            last = int(self._a64[H_LAST]) if self.events else None
            values, times, rows = whole_steps(values, times, self.program.step_us, self._empty_steps, last)
        times = np.require(times, np.int64, ["C", "A"])  # the machine is told addresses alone
        values = np.require(values, kind, ["C", "A"])
        if self._dense:
            return self._token[:0], times, values.reshape(-1), rows
        return values, times, self._values[:0], rows

    def _wanted(self, times: np.ndarray) -> tuple[int, ...] | None:
        return (times.size, *self.program.value_input.event_shape) if times.ndim == 1 else None

    def _refusal(self, fault: int, event: int, times: np.ndarray) -> ProgramError:
        last = int(times[event - 1]) if event else int(self._a64[H_LAST])
        time_us = int(times[event])
        if fault == BACKWARDS:
            lies = f"lies before the event at {last} us; sort the events by time first"
            return ProgramError(f"event {event} at {time_us} us {lies}")
        if fault in _FAULTS:
            return ProgramError(f"event {event} at {time_us} us is refused: {_FAULTS[fault]}")
        return ProgramError(
            f"event {event} at {time_us} us exceeds what 64-bit sums hold, {self.program.max_events} events and "
            f"{self.program.max_duration_us} us; reset the simulator, or use a windowed or forgetting read-out"
        )


def _is_plain(array: Any, kind: type) -> bool:
    return type(array) is np.ndarray and array.dtype == kind


def _whole(number: Any) -> int:
    if isinstance(number, (bool, np.bool_)):
        raise TypeError(f"{number} is a boolean")
    return index(number)
