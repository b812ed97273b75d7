"""The verb ``stream``: a running decision on events from a file, standard input, a growing file or a socket."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api.streaming.encoding import RowEncoder
from ..api.streaming.faults import Faults
from ..api.streaming.front import Decision, Stream, stream
from ..api.streaming.lines import LineReader
from ..api.streaming.sources import read_file, read_stdin, read_udp
from ..errors import PumiceError
from ..train.data.files.columns import NAMES, Columns, by_order
from ..train.data.files.opening import READERS, read_columns
from ..train.data.times import UNITS
from .inputs import read_inputs
from .plain import READING, read_program
from .words import SOURCES, Words

KEYS = (
    *("run_dir", "backend", "input", "every", "every_ms", "window", "forget", "format", "state", "faults"),
    *("columns", "sensor", "unit", "polarity", "unwrap", "follow", "idle_s"),
)
FORMATS = ("text", "json")
TEXT = (".csv", ".txt", ".log", "")
"""Ends of files that are read line by line; others are read whole, as recordings."""
BLOCK = 1 << 13
"""Events of a recording that are taken at once."""


def run(arguments: Sequence[str]) -> None:
    """``pumice stream program=FILE [input=...]``: print the running decision until the source ends, or Ctrl-C.

    Raises:
        PumiceError: wrong settings or files, or events that cannot be, where they are refused.
    """
    words = Words(arguments, (*READING, *KEYS), "stream")
    told = words.text("format", "text")
    if told not in FORMATS:
        raise PumiceError(f"format={told} is unknown; choose one of {', '.join(FORMATS)}")
    running = _opened(words)
    state = words.path("state")
    if state is not None and state.exists():
        running.restore(state)
    blocks = _blocks(words, running)
    interrupts = Interrupts()
    try:
        with interrupts:
            while not interrupts.asked and (block := interrupts.awaited(blocks)) is not None:
                _say(running.take(block), told)
            _say(running.finish(), told)
    except BrokenPipeError:  # whoever read the decisions has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if state is not None:
        running.save(state)
    print(_summary(running, told, interrupts.asked, state), file=sys.stderr)


class Interrupts:
    """Ctrl-C ends a stream between two blocks, or while it waits for one, and not in the middle of its state.

    Attributes:
        asked: whether somebody pressed it.
    """

    def __init__(self) -> None:
        self.asked, self._waiting = False, False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _pressed(self, *_: object) -> None:
        self.asked = True
        if self._waiting:
            raise KeyboardInterrupt

    def awaited(self, blocks: Iterator[Any]) -> Any:
        """The next block; None where there is no more."""
        self._waiting = True
        try:
            return next(blocks, None)
        except KeyboardInterrupt:
            return None
        finally:
            self._waiting = False


def _opened(words: Words) -> Stream:
    named = [name for name in (*SOURCES, "run_dir") if name in words.given]
    if len(named) != 1:
        raise PumiceError(f"{' and '.join(named) or 'no program'} given; name one by program=, net= or run_dir=")
    settings: dict[str, Any] = {key: words.number(key) for key in ("window", "forget") if key in words.given}
    if "every" in words.given:
        settings["every"] = words.number("every") or 0
    if "every_ms" in words.given:
        settings["every_ms"] = words.real("every_ms")
    for key in ("sensor", "polarity"):
        if key in words.given:
            settings[key] = _whole_numbers(key, words.listed(key))
    for key in ("unit", "faults"):
        if key in words.given:
            settings[key] = words.text(key, "")
    if "unwrap" in words.given:
        settings["unwrap"] = words.flag("unwrap")
    model = words.needed_path("run_dir") if named == ["run_dir"] else read_program(words)
    backend = words.text("backend", "integer")
    if backend != "integer" and isinstance(model, Path) is False:
        raise PumiceError(f"backend={backend} needs the float model of a run folder; give run_dir=FOLDER")
    return stream(model, backend=backend, **settings)


def _whole_numbers(key: str, found: list[str]) -> list[int]:
    try:
        return [int(each) for each in found]
    except ValueError:
        raise PumiceError(f"{key}={found} has to be whole numbers in brackets; change it") from None


def _blocks(words: Words, running: Stream) -> Iterator[Any]:
    """The blocks of the source."""
    source, idle = words.text("input", "-"), words.real("idle_s")
    follow = words.flag("follow") if "follow" in words.given else False
    order = tuple(words.listed("columns"))
    rows = isinstance(running.encoder, RowEncoder)
    known = {name for names in NAMES.values() for name in names}
    if order and (rows or not set(order) <= known):
        raise PumiceError(f"columns={list(order)} are no columns of events; name some of t, x, y, p")
    if source.startswith("udp:"):
        yield from _lines(read_udp(source[4:], idle), source, running, order)
    elif source == "-":
        yield from _lines(read_stdin(), "standard input", running, order)
    elif Path(source).suffix.lower() in TEXT:
        yield from _lines(read_file(Path(source), follow, idle), source, running, order)
    elif follow:
        raise PumiceError(f"{source} does not grow line by line; follow=true reads {', '.join(TEXT[:-1])}")
    elif rows:
        yield from _rows_of(Path(source), words, running)
    else:
        yield from _recording(Path(source), running, order, "unit" in words.given)


def _lines(chunks: Iterator[bytes], name: str, running: Stream, order: tuple[str, ...]) -> Iterator[Any]:
    widths = (len(order),) if order else running.encoder.widths
    faults: Faults = running.left_out
    reader = LineReader(name, widths, lambda sentence: faults.found("malformed", sentence))

    def block(table: NDArray[np.float64]) -> Any:
        if isinstance(running.encoder, RowEncoder):
            return table
        return by_order(table, order or ("t", "x", "y", "p")[: table.shape[1]])

    for chunk in chunks:
        table = reader.take(chunk)
        if len(table):
            yield block(table)
    table = reader.finish()
    if len(table):
        yield block(table)


def _recording(path: Path, running: Stream, order: tuple[str, ...], has_unit: bool) -> Iterator[Columns]:
    """A recording in any format that data sets have, in blocks."""
    if path.suffix.lower() not in READERS:
        raise PumiceError(f"{path} ends in none of {', '.join([*READERS, *TEXT[2:-1]])}; convert it, or give its lines")
    found = read_columns(path, order or ("t", "x", "y", "p")[: min(running.encoder.widths)])
    if found.unit_us not in (None, 1) and not has_unit:
        raise PumiceError(f"{path} counts its times in {UNITS.get(found.unit_us, found.unit_us)}; give that as unit=")
    for at in range(0, len(found.t), BLOCK):
        axes: list[Any] = [None if axis is None else axis[at : at + BLOCK] for axis in _axes(found)]
        yield Columns(*axes)


def _axes(columns: Columns) -> tuple[Any, ...]:
    return columns.t, columns.x, columns.y, columns.p


def _rows_of(path: Path, words: Words, running: Stream) -> Iterator[NDArray]:
    """The rows of a ``.npy`` or ``.npz`` file of steps."""
    if "run_dir" in words.given:
        raise PumiceError(f"{path}: rows of a run folder's model are read as lines; give .csv, or program=FILE")
    for values, _ in read_inputs(path, read_program(words)).samples:
        for at in range(0, len(values), BLOCK):
            yield values[at : at + BLOCK]


def _say(decisions: Iterator[Decision], told: str) -> None:
    for found in decisions:
        print(as_json(found) if told == "json" else as_text(found), flush=True)


def as_text(found: Decision) -> str:
    """One line for people."""
    if found.incomplete:
        said = "nothing yet: no window is complete"
    else:
        said = f"{found.class_name:<12} score {found.score:8.3f}  margin {found.margin:7.3f}"
    return f"{found.time_us / 1e6:10.3f} s  event {found.events:>9,}  {said}  {found.seconds * 1e3:7.2f} ms"


def as_json(found: Decision) -> str:
    """One line for programs."""
    told = {"event": found.events, "time_us": found.time_us, "class": found.class_name, "index": found.index}
    told |= {"score": found.score, "margin": found.margin, "incomplete": found.incomplete}
    return json.dumps({**told, "latency_ms": round(found.seconds * 1e3, 3)})


def _summary(running: Stream, told: str, interrupted: bool, state: Path | None) -> str:
    rate = running.taken / running.seconds if running.seconds else 0.0
    if told == "json":
        found = {"events": running.taken, "seconds": round(running.seconds, 6), "left_out": dict(running.faults)}
        return json.dumps({**found, "interrupted": interrupted, "state": None if state is None else str(state)})
    ended = "interrupted after" if interrupted else "ended after"
    unit = "rows" if isinstance(running.encoder, RowEncoder) else "events"
    parts = [f"{ended} {running.taken:,} {unit}, {running.seconds:.3f} s of computing ({rate:,.0f} a second)"]
    parts += [f"left out: {count:,} {kind}" for kind, count in running.faults.items()]
    return "; ".join([*parts, *([] if state is None else [f"state kept in {state}"])])
