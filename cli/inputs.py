"""Samples for a clocked program from plain files: arrays of steps, or lists of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from ..errors import PumiceError
from ..program import Program, ProgramError
from ..program.archive import read_arrays
from ..program.arrays import reals
from ..program.nodes import ValueInput
from ..program.samples import Sample

STEP_US = 1000
"""Of programs that do not know their step."""
COLUMNS = ("channel", "polarity", "time")
"""Of event lists of three columns, as lava-dl's are."""
UNUSED = "_"
MOST_VALUES = 1 << 27
"""Numbers of one sample, 1 GiB."""


@dataclass(frozen=True)
class Inputs:
    """What a file holds.

    Attributes:
        samples: values (T, F) and times (T,), one row a step.
        notes: how they were understood, sentences.
        outside: values beyond what the program's input holds, which it clips, and fractions, which it rounds.
        values: how many there are.
    """

    samples: list[Sample]
    notes: list[str]
    outside: int
    values: int


def read_inputs(path: Path, program: Program, steps: int | None = None, columns: Sequence[str] | None = None) -> Inputs:
    """Samples of a ``.npy`` or ``.npz`` file for a program that takes one vector a step.

    An array is a sample (T, F), samples (N, T, F), or a list of events (L, columns): one spike each, its time in steps,
    rounded to the nearest, and not in order; ``columns`` names them (channel, time, polarity, ``_`` for others). An
    array of three columns is such a list with the columns channel, polarity, time where the program's input is not of
    three channels. What falls into one step of one channel is one spike, or counted where the input is wider.

    Args:
        path: of the file.
        program: its input says F.
        steps: length of each sample; longer ones are cut, events fill the rest with empty steps. None: their own.
        columns: see above.

    Raises:
        PumiceError: a file that cannot be read, or an array that is none of these; names it.
    """
    source = program.value_input
    if not source.event_shape or not program.clocked:
        raise PumiceError("the program reads events of tokens and times; plain inputs are for one vector a step alone")
    notes: list[str] = []
    values: list[np.ndarray] = []
    for name, array in _arrays(path).items():
        values += _samples(f"{path}{name}", array, source, steps, columns, notes)
    if not values:
        raise PumiceError(f"{path} holds no arrays; give one of shape (steps, {source.channels})")
    step = program.step_us or STEP_US
    samples = [(rows, step * np.arange(len(rows), dtype=np.int64)) for rows in values]
    outside = sum(int(np.sum(source.codes(rows) != rows * 2.0**source.output.frac)) for rows in values)
    return Inputs(samples, list(dict.fromkeys(notes)), outside, sum(rows.size for rows in values))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Arrays by ``:name``; that of a ``.npy`` file has none."""
    try:
        if path.suffix == ".npz":
            return {f":{name}": array for name, array in read_arrays(path, 8 * MOST_VALUES).items()}
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
        return {"": np.load(path, mmap_mode="r", allow_pickle=False)}  # a map is never larger than the file
    except FileNotFoundError:
        raise PumiceError(f"{path} does not exist; name a .npy or .npz file") from None
    except (
        OSError,
        ValueError,
        EOFError,
        OverflowError,
        TokenError,
        SyntaxError,
        MemoryError,
        RecursionError,
    ) as error:
        raise PumiceError(f"{path} is no .npy or .npz file of numbers, or damaged ({error}); write it anew") from error


def _samples(
    where: str,
    array: np.ndarray,
    source: ValueInput,
    steps: int | None,
    columns: Sequence[str] | None,
    notes: list[str],
) -> list[np.ndarray]:
    if array.size > MOST_VALUES:
        raise PumiceError(f"{where} holds {array.size} numbers, {MOST_VALUES} are taken at once; give fewer samples")
    try:
        values = reals(where, array)
    except ProgramError as error:
        raise PumiceError(str(error)) from None
    if not np.isfinite(values).all():
        raise PumiceError(f"{where} holds NaN or infinite numbers; correct the file")
    if columns is None and values.ndim == 2 and values.shape[1] == len(COLUMNS) != source.channels:
        columns = COLUMNS
        notes.append(f"read as events of the columns {', '.join(COLUMNS)}, times in steps; columns=[...] names others")
    if columns is not None:
        return [_rows_of_events(where, values, source, steps, columns, notes)]
    if values.ndim not in (2, 3) or values.shape[-1] != source.channels:
        raise PumiceError(
            f"{where} has shape {values.shape}; give (steps, {source.channels}) or "
            f"(samples, steps, {source.channels}), or one event a row and columns=[channel,time]"
        )
    found = list(values) if values.ndim == 3 else [values]
    if steps is not None and any(len(rows) < steps for rows in found):
        raise PumiceError(f"{where} has samples of {len(found[0])} steps, steps={steps} are asked for; lower steps")
    return [rows[:steps] for rows in found]


def _rows_of_events(
    where: str, values: np.ndarray, source: ValueInput, steps: int | None, columns: Sequence[str], notes: list[str]
) -> np.ndarray:
    names = [name for name in columns if name != UNUSED]
    if set(names) not in ({"channel", "time"}, {"channel", "time", "polarity"}) or len(set(names)) < len(names):
        raise PumiceError(
            f"columns={','.join(columns)}: name channel, time, perhaps polarity, and _ for others, once each"
        )
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise PumiceError(f"{where} has shape {values.shape}; {len(columns)} columns are named, of one event a row")
    column = {name: values[:, index] for index, name in enumerate(columns)}
    channel, time = column["channel"], np.rint(column["time"])
    if len(np.unique(column.get("polarity", np.zeros(1)))) > 1:
        raise PumiceError(
            f"{where} has events of several polarities; name that column _ to merge them, or split the file"
        )
    wrong = (channel != np.floor(channel)) | (channel < 0) | (channel >= source.channels) | (time < 0)
    if wrong.any():
        event = int(np.argmax(wrong))
        raise PumiceError(
            f"{where}, event {event}: channel {channel[event]:g} at step {time[event]:g} lies outside the input of "
            f"{source.channels} channels, from step 0 on; name the right columns"
        )
    last = int(time.max()) + 1 if len(time) else 0
    length = last if steps is None else steps
    if length * source.channels > MOST_VALUES:
        raise PumiceError(
            f"{where} lasts {length} steps of {source.channels} channels, {MOST_VALUES} numbers at most; lower steps"
        )
    kept = time < length
    places = time[kept].astype(np.int64) * source.channels + channel[kept].astype(np.int64)
    counts = np.bincount(places, minlength=length * source.channels).reshape(length, source.channels)
    merged = int(np.sum(counts[counts > 1] - 1))
    if source.output.max == 1:
        counts = np.minimum(counts, 1)
    if merged:
        how = "are one spike" if source.output.max == 1 else "are counted"
        notes.append(f"{merged} events share step and channel with another, and {how}")
    if not kept.all():
        notes.append(f"{int(np.sum(~kept))} events behind step {length - 1} are left out (steps={steps})")
    return counts.astype(np.float64)
