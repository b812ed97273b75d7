"""Recordings in arrays of your own as data for models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PumiceError
from ..train.data.arrays import ArrayRecordings
from ..train.data.events.given import GivenDataModule
from ..train.data.files.columns import Columns, by_name
from ..train.data.plausibility import polarity_on
from ..train.data.recordings import Events, make_events
from ..train.data.task import TaskConfig, task_config
from ..train.data.times import UNITS, microseconds
from ..train.data.tokens import Sensor
from .presets import kind_of
from .samples import as_array

ORDER = ("t", "x", "y", "p")
_WANTED = "give (recordings, labels) or (recordings, labels, speakers)"


def make_data(
    train: Sequence[Any],
    test: Sequence[Any],
    *,
    sensor: Sequence[int],
    validation: Sequence[Any] | Mapping[str, Any] | None = None,
    class_names: Sequence[str] | None = None,
    unit: str = "us",
    name: str = "arrays",
    batch_size: int = 32,
    eval_batch_size: int = 32,
    seed: int = 0,
    workers: int = 0,
    bucket_batches: int | None = None,
    **settings: Any,
) -> GivenDataModule:
    """Recordings in arrays as a data module, like that of a task: for training, `quantize` and `simulate`.

    Args:
        train: (recordings, labels) or (recordings, labels, speakers). Each recording is a structured array, a mapping
            or a data frame with the columns t, x and, of cameras, y and p; or a tuple of these columns, or an array
            (n, 2) or (n, 4) of them. Events may be in any order of time; polarities are 0 and 1, -1 and 1, or 1
            and 2. Labels are classes (N,) from 0 or names; speakers whole numbers (N,).
        test: the same.
        sensor: [channels], or [width, height, polarities].
        validation: the same as ``train``, or how it is held out of the training recordings:
            ``{"by": "sample", "fraction": 0.1, "seed": 0}``, or by speaker.
        class_names: in order of their label; if not given, the names that occur, sorted, or numbers.
        unit: of the times, "us", "ms" or "s".
        name: for messages and figures.
        batch_size: samples of a training batch.
        eval_batch_size: samples of a batch of evaluation.
        seed: of the order of training samples and of their augmentation.
        workers: processes that prepare training batches; 0 for none.
        bucket_batches: batches among which samples of similar length are brought together.
        settings: others of configs/task, such as ``tick_ms=1``, ``augmentation={"drop_event": {"p": 0.1}}``.

    Raises:
        PumiceError: recordings that cannot be read or cannot be right, or settings outside their limits; names them.
    """
    given = {"train": train, "test": test}
    rule: Mapping[str, Any] = {"by": "own"}
    if validation is None or isinstance(validation, Mapping):
        rule = validation or {}
    else:
        given["validation"] = validation
    parts = {split: _parts(split, value) for split, value in given.items()}
    if unit not in UNITS.values():
        raise PumiceError(f"unit={unit} is unknown; choose one of {', '.join(UNITS.values())}")
    names = _class_names([labels for _, labels, _ in parts.values()], class_names)
    task = task_config(
        {"name": name, "source": "arrays", "num_classes": len(names), "sensor": sensor, "validation": rule, **settings}
    )
    recordings = {
        split: recordings_of(f"{name}, {split}", found, _labels(labels, names), names, task, unit, speakers)
        for split, (found, labels, speakers) in parts.items()
    }
    return GivenDataModule(recordings, task, batch_size, eval_batch_size, seed, workers, bucket_batches)


def recordings_of(
    name: str,
    given: Sequence[Any],
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    task: TaskConfig,
    unit: str,
    speakers: NDArray[np.int64] | None = None,
) -> ArrayRecordings:
    """Recordings in any of the forms of `make_data`, as a task with their sensor reads them.

    Raises:
        PumiceError: one that cannot be read or cannot be right; names it.
    """
    events = _events(name, given, task.sensor, unit)
    return ArrayRecordings(name, events, labels, class_names, task.sensor, speakers, task.unwrap_times)


def _parts(split: str, given: Any) -> tuple[list[Any], NDArray, NDArray[np.int64] | None]:
    """Recordings, labels and speakers of a split, equally many."""
    if not isinstance(given, (tuple, list)) or not 2 <= len(given) <= 3:
        raise PumiceError(f"{split} is {kind_of(given)}; {_WANTED}")
    recordings, labels = list(given[0]), _row(f"{split}: labels", given[1])
    speakers = _row(f"{split}: speakers", given[2]) if len(given) == 3 else None
    if not recordings or len(labels) != len(recordings) or (speakers is not None and len(speakers) != len(recordings)):
        counts = f"{len(recordings)} recordings, {len(labels)} labels"
        raise PumiceError(f"{split} has {counts}{'' if speakers is None else f', {len(speakers)} speakers'}; {_WANTED}")
    if speakers is not None and speakers.dtype.kind not in "iu":
        raise PumiceError(f"{split}: speakers are {speakers.dtype}; number them")
    return recordings, labels, None if speakers is None else speakers.astype(np.int64)


def _row(what: str, given: Any) -> NDArray:
    row = as_array(given)
    if row.ndim != 1 or row.dtype.kind not in "iuU":
        raise PumiceError(f"{what} are {row.dtype} of shape {row.shape}; give whole numbers or names, one a recording")
    return row


def _class_names(labels: Sequence[NDArray], given: Sequence[str] | None) -> tuple[str, ...]:
    if len({row.dtype.kind == "U" for row in labels}) > 1:
        raise PumiceError("some labels are names and others numbers; give one of them")
    if labels[0].dtype.kind == "U":
        found = sorted({str(label) for row in labels for label in row})
        missing = [name for name in found if given is not None and name not in given]
        if missing:
            raise PumiceError(f"the label {missing[0]} is none of class_names; add it")
        return tuple(found if given is None else given)
    lowest, highest = min(int(row.min()) for row in labels), max(int(row.max()) for row in labels)
    most = 10 * sum(map(len, labels)) + 100
    if lowest < 0 or highest >= (most if given is None else len(given)):
        limit = "below " + (f"{most:,}" if given is None else f"{len(given)}, as class_names are as many")
        raise PumiceError(f"labels are {lowest} to {highest}; they count from 0 and lie {limit}")
    return tuple(given) if given is not None else tuple(map(str, range(highest + 1)))


def _labels(labels: NDArray, names: Sequence[str]) -> NDArray[np.int64]:
    if labels.dtype.kind != "U":
        return labels.astype(np.int64)
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[str(label)] for label in labels], dtype=np.int64)


def _events(where: str, recordings: Sequence[Any], sensor: Sensor, unit: str) -> list[Events]:
    """Event arrays of the recordings of a split."""
    unit_us = next(us for us, name in UNITS.items() if name == unit)
    camera = len(sensor) == 3
    found: list[tuple[NDArray[np.int64], Columns]] = []
    for index, recording in enumerate(recordings):
        try:
            columns = columns_of(recording, ORDER if camera else ORDER[:2])
            if camera and (columns.y is None or columns.p is None):
                raise ValueError("it has no y or no p, and the sensor is a camera")
            for axis in (columns.x, *((columns.y,) if camera else ())):
                if axis is not None and axis.dtype.kind == "f" and not (axis == np.rint(axis)).all():
                    raise ValueError("it has positions that are not whole")
            found.append((microseconds(columns.t, unit_us), columns))
        except (ValueError, TypeError) as error:
            raise PumiceError(f"recording {index} of {where} cannot be read ({error})") from None
    if not camera:
        return [make_events(t, columns.x) for t, columns in found]
    codes = [np.unique(columns.p) for _, columns in found if columns.p is not None]
    on = polarity_on(where, np.concatenate(codes))
    return [make_events(t, columns.x, columns.y, np.asarray(columns.p) == on) for t, columns in found]


def columns_of(recording: Any, order: tuple[str, ...]) -> Columns:
    """The columns of a recording in any of the forms of `make_data`; ``order`` is that of columns without names.

    Raises:
        ValueError, TypeError: another form.
    """
    if isinstance(recording, (tuple, list)) and len(recording) == len(order):
        return by_name({name: as_array(column) for name, column in zip(order, recording, strict=True)})
    if isinstance(recording, Mapping) or hasattr(recording, "columns"):
        return by_name({str(name): as_array(recording[name]) for name in recording})
    array = as_array(recording)
    if array.dtype.names is not None:
        return by_name({name: array[name] for name in array.dtype.names})
    if array.ndim != 2 or array.shape[1] != len(order):
        raise ValueError(f"{array.dtype} of shape {array.shape} is no recording of the columns {', '.join(order)}")
    return by_name({name: array[:, index] for index, name in enumerate(order)})
