"""`stream`: a running decision on events that keep coming."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ...errors import PumiceError
from ...program import Program
from ...program.samples import Sample
from ...train.data.files.columns import Columns
from ..arrays import ORDER, columns_of
from ..presets import kind_of
from ..samples import as_array, decide
from .encoding import Encoder, RowEncoder
from .engines import Engine
from .faults import Faults
from .saved import load_state, save_state
from .setup import Source, configured, make_encoder, make_engine, model_at, task_of

CONSUMED = 1024
"""Events or rows that are computed at once, unless a decision is due before."""


@dataclass(frozen=True)
class Decision:
    """What a stream says after a block.

    Attributes:
        events: events or rows that the model has taken since the stream began, in earlier sittings too.
        time_us: of the last one.
        index: the class; ties go to the lowest.
        class_name: its name.
        score: its logit.
        margin: how far the next logit lies below.
        logits: (classes,) integer codes of a program, values of a float model.
        incomplete: no window was complete yet, so that this is the decoder's bias.
        seconds: that computing took since the decision before.
    """

    events: int
    time_us: int
    index: int
    class_name: str
    score: float
    margin: float
    logits: NDArray
    incomplete: bool
    seconds: float


class Stream:
    """A stream of events through a model, from block to block; `stream` makes one.

    Going through it takes the blocks that it was given, and yields a `Decision` whenever one is due and at the end.

    Args:
        engine: runs the model.
        encoder: turns events into what the model reads.
        faults: what becomes of events that cannot be.
        every: events or rows from decision to decision.
        every_us: microseconds of the stream from decision to decision, in place of ``every``.
        blocks: of events; none where `take` is called.

    Attributes:
        events: taken by the model, in earlier sittings too.
        taken: of them, those of this sitting.
        seconds: that computing took in this sitting.
        left_out: what becomes of events that cannot be, and their counts.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: Encoder,
        faults: Faults,
        every: int = 256,
        every_us: int | None = None,
        blocks: Iterable[Any] = (),
    ) -> None:
        if every < 1 or (every_us is not None and every_us < 1):
            raise PumiceError("decisions are at least one event, or one microsecond, apart; raise every or every_ms")
        self.engine, self.encoder, self.left_out = engine, encoder, faults
        self._every, self._every_us, self._blocks = every, every_us, blocks
        self.events, self.taken, self.seconds, self._time_us = 0, 0, 0.0, 0
        self._since = 0
        self._due_us: int | None = None
        self._told_s = 0.0

    def __iter__(self) -> Iterator[Decision]:
        for block in self._blocks:
            yield from self.take(block)
        yield from self.finish()

    @property
    def faults(self) -> Mapping[str, int]:
        """What was left out, by kind."""
        return dict(self.left_out.counts)

    def take(self, block: Any) -> Iterator[Decision]:
        """Take events; yields the decisions that are due on the way. Go through them: nothing is computed otherwise.

        Args:
            block: events as `make_data` takes a recording: structured, a mapping, a tuple of columns or an array (n, 2)
                or (n, 4) of t, x[, y, p]; of a model of dense rows an array (n, F), or (n, F + 1) with times first.

        Raises:
            PumiceError: events that cannot be, where they are refused; the state is that before them.
        """
        for sample in self.encoder.take(self._columns(block)):
            yield from self._feed(sample)

    def finish(self) -> Iterator[Decision]:
        """What is left at the end: a step that no other closes, and a last decision where events came since one."""
        for sample in self.encoder.finish():
            yield from self._feed(sample)
        if self._since:
            yield self.decision()

    def decision(self) -> Decision:
        """The decision as it stands."""
        started = time.perf_counter()
        logits = self.engine.logits()
        self._spent(started)
        index, values, margin = decide(logits, self.engine.scale)
        spent, self._told_s = self.seconds - self._told_s, self.seconds
        return Decision(
            events=self.events,
            time_us=self._time_us,
            index=index,
            class_name=self.engine.class_names[index],
            score=float(values[index]),
            margin=margin,
            logits=logits,
            incomplete=self.engine.incomplete,
            seconds=spent,
        )

    def save(self, path: str | Path) -> None:
        """Write down all that the stream remembers; `restore` goes on from there, in this process or another.

        Raises:
            PumiceError: the folder cannot be written to.
        """
        numbers: dict[str, int | None] = {f"encoder.{name}": value for name, value in self.encoder.state().items()}
        numbers |= {"events": self.events, "since": self._since, "time": self._time_us, "due": self._due_us}
        arrays = {f"engine.{name}": array for name, array in self.engine.snapshot().items()}
        arrays |= {f"encoder.{name}": array for name, array in self.encoder.arrays().items()}
        save_state(Path(path), {"identity": self._identity, "numbers": numbers}, arrays)

    def restore(self, path: str | Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            PumiceError: it is missing or damaged, or the state of another program, model or read-out.
        """
        header, arrays = load_state(Path(path), self._identity)
        numbers = header["numbers"]
        parts: dict[str, dict[str, NDArray]] = {"engine": {}, "encoder": {}}
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            parts.setdefault(kind, {})[rest] = array
        own = {f"encoder.{name}" for name in self.encoder.state()} | {"events", "since", "time", "due"}
        counted = [numbers.get(name) or 0 for name in ("events", "since", "encoder.seen", "encoder.open")]
        shapes = {name: array.shape for name, array in self.encoder.arrays().items()}
        found = {name: array.shape for name, array in parts["encoder"].items()}
        if set(numbers) != own or found != shapes or min(counted) < 0:
            raise PumiceError(
                f"{path} is the state of a stream that reads its events in another way; name another file by state=..."
            )
        self.engine.restore(parts["engine"])
        self.encoder.restore({name: numbers[f"encoder.{name}"] for name in self.encoder.state()}, parts["encoder"])
        self.events, since, self._due_us = int(numbers["events"] or 0), int(numbers["since"] or 0), numbers["due"]
        self._since = since % self._every if self._every_us is None else since  # another ``every`` may be given
        self._time_us = int(numbers["time"] or 0)

    @property
    def _identity(self) -> str:
        return f"{type(self.encoder).__name__}-{self.engine.identity}"

    def _columns(self, block: Any) -> Columns | NDArray:
        if isinstance(block, Columns):
            return block
        if isinstance(self.encoder, RowEncoder):
            return as_array(block)
        try:
            width = block.shape[1] if getattr(block, "ndim", 0) == 2 else len(block)
            return columns_of(block, ORDER[: width if width in self.encoder.widths else min(self.encoder.widths)])
        except (ValueError, TypeError) as error:
            raise PumiceError(f"a block of the stream is {kind_of(block)} and no events ({error})") from None

    def _feed(self, sample: Sample) -> Iterator[Decision]:
        values, times = sample
        while len(times):
            if self._due_us is not None and self._every_us is not None and times[0] >= self._due_us:
                if self._since:
                    yield self.decision()
                self._since = 0
                self._due_us += self._every_us * ((int(times[0]) - self._due_us) // self._every_us + 1)
            count = self._until(times)
            self._compute(values[:count], times[:count])
            values, times = values[count:], times[count:]
            if self._every_us is None and self._since == self._every:
                yield self.decision()
                self._since = 0

    def _until(self, times: NDArray[np.int64]) -> int:
        """How many of the next events are computed before a decision is due."""
        if self._every_us is None:
            return min(len(times), self._every - self._since)
        if self._due_us is None:
            self._due_us = int(times[0]) + self._every_us
        return int(np.searchsorted(times, self._due_us))

    def _compute(self, values: NDArray, times: NDArray[np.int64]) -> None:
        started = time.perf_counter()
        for at in range(0, len(times), CONSUMED):
            self.engine.advance(values[at : at + CONSUMED], times[at : at + CONSUMED])
        self._spent(started)
        self.events += len(times)
        self.taken += len(times)
        self._since += len(times)
        self._time_us = int(times[-1])

    def _spent(self, started: float) -> None:
        self.seconds += time.perf_counter() - started


def stream(
    model: Program | nn.Module | str | Path,
    blocks: Iterable[Any] = (),
    *,
    backend: str = "integer",
    task: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
    every: int = 256,
    every_ms: float | None = None,
    window: int | None = None,
    forget: int | None = None,
    sensor: Sequence[int] | None = None,
    unit: str = "us",
    polarity: Sequence[int] | None = None,
    unwrap: bool | None = None,
    faults: str = "refuse",
) -> Stream:
    """A running decision on events that keep coming, with state carried over for ever.

    Of the same events a program gives the same integers as on whole samples, however they are cut into blocks.

    Args:
        model: a program, a float model, or the path of a program or of a run folder.
        blocks: of events, as `Stream.take` takes them; or none, and call `take`.
        backend: of a run folder, its "integer" program or its "float" model.
        task: settings of configs/task that say how events are read; those that the program was made for, if not given.
        class_names: of a float model; numbers if not given.
        every: events, or rows of a network of time steps, from decision to decision.
        every_ms: milliseconds of the stream from decision to decision, in place of ``every``.
        window: read out the mean of the last so many values, at the read-out's rate.
        forget: read out a mean that forgets over about ``2**forget`` of them. Without either the model's own read-out
            stays: a mean over all that came.
        sensor: [channels] or [width, height, polarities]; the task's, or a channel a token, if not given. Of a network
            of time steps without a task it says that events are counted, in place of rows.
        unit: of the times, "us", "ms" or "s".
        polarity: the codes [off, on] of a camera.
        unwrap: count on where a clock of 32 bits begins anew.
        faults: "refuse" events that cannot be by a sentence, or "skip" and count them.

    Returns:
        a `Stream`; going through it yields a `Decision` whenever one is due, and at the end.

    Raises:
        PumiceError: a file that is none, or settings that do not fit the model.
    """
    if isinstance(model, str | Path):
        model, found, names = model_at(model, backend)
        task, class_names = found if task is None else task, class_names or names
    elif isinstance(model, Program) and task is None:
        task = task_of(model)
    elif not isinstance(model, Program | nn.Module):
        raise PumiceError(f"a stream runs a program or a float model, not {kind_of(model)}")
    settings, left_out = configured(task), Faults(faults)
    engine = make_engine(model, settings, class_names, window, forget)
    encoder = make_encoder(model, settings, Source(sensor, unit, polarity, unwrap), left_out)
    every_us = None if every_ms is None else round(1000 * every_ms)
    return Stream(engine, encoder, left_out, every, every_us, blocks)
