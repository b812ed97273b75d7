"""From recordings to what a model reads, with numpy alone: beside exported models, and in bundles, as ``encode.py``.

A recording is a .npy, .npz or .csv file of events, one a row: t in microseconds, x, and of a camera y and p (0, 1, or
-1, 1). Of a model that reads rows of values it is an array (steps, values).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

AXES = ("t", "x", "y", "p")
EXACT = 1 << 53
Columns = dict[str, Any]


class Refused(Exception):
    """Something is wrong with a recording: one sentence."""


def read(source: "str | Path") -> Any:
    """The columns of a file by name, or an array of rows."""
    path = Path(source)
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
            return found
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            first = path.read_text().partition("\n")[0]
            names = [name.strip() for name in first.split(",")]
            headed = not all(word.strip().lstrip("+-").replace(".", "", 1).isdigit() for word in names)
            array = np.loadtxt(path, delimiter=",", ndmin=2, skiprows=int(headed))
            if headed:
                return dict(zip(names, array.T, strict=False))
    except (OSError, ValueError) as error:
        raise Refused(f"{path} cannot be read ({error}); give a .npy, .npz or .csv file of numbers") from None
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    return array


class Encoder:
    """What a model's metadata say of its input.

    Args:
        about: texts by name: ``class_names``, ``pairing``, ``gap_units_us``, ``input_ranges``, and, where there are
            any, ``task``, ``value_format``, ``step_us``.
    """

    def __init__(self, about: Mapping[str, str]) -> None:
        self.task: Any = json.loads(about.get("task", "{}"))
        self.class_names = json.loads(about["class_names"])
        self.pairing, self.gaps = about["pairing"], json.loads(about["gap_units_us"])
        self.ranges = json.loads(about["input_ranges"])
        self.values: Any = json.loads(about["value_format"]) if "value_format" in about else None
        self.step_us = int(about.get("step_us", 1000))

    def sample(self, found: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (L,) or values (L, F), and times (L,) in microseconds, of a recording as it was read."""
        if self.task.get("kind") not in (None, "binned") or (self.values is not None and not self.task):
            rows = found if isinstance(found, np.ndarray) else found.get("rows")
            axes = 1 if self.values is None else 2
            if rows is None or rows.ndim != axes or rows.dtype.kind not in "biuf":
                raise Refused(f"{where} is no array of {'tokens' if axes == 1 else '(steps, values)'}; convert it")
            times = self.step_us * np.arange(len(rows), dtype=np.int64)
            times = times if isinstance(found, np.ndarray) else found.get("t", times)
            return (rows.astype(np.int64) if axes == 1 else rows), times
        columns = self.events(found, where)
        t, x = columns[:2]
        if self.values is not None:
            rows = self.bins(t, x, where)
            return rows, self.step_us * np.arange(len(rows))
        kept = len(t)
        if self.task.get("max_ms") is not None and kept:
            kept = int(np.searchsorted(t, t[0] + round(1000 * self.task["max_ms"]), side="right"))
        kept = min(kept, self.task.get("max_events") or kept)
        return self.tokens(*(None if column is None else column[:kept] for column in columns[1:])), t[:kept]

    def events(self, found: Any, where: str) -> list[Any]:
        """Columns t, x, y, p (the last two None for a sensor of channels), whole numbers sorted by time."""
        sensor = self.task.get("sensor") or [self.task.get("channels") or self.ranges["token"][1] + 1]
        if isinstance(found, np.ndarray):
            names = AXES[: 2 if len(sensor) == 1 else 4]
            if found.ndim != 2 or found.shape[1] < len(names):
                raise Refused(f"{where} has shape {found.shape}; give a row an event: {', '.join(names)}")
            found = dict(zip(AXES, found.T, strict=False))
        names = AXES if len(sensor) == 3 else AXES[:2]
        missing = [name for name in names if name not in found]
        if missing:
            raise Refused(f"{where} has no {missing[0]}; give the columns {', '.join(names)}")
        columns = {name: np.asarray(found[name]) for name in names}
        for name, column in columns.items():
            if column.dtype.kind not in "biuf" or (column.dtype.kind == "f" and not (column == np.rint(column)).all()):
                raise Refused(f"{where}: {name} are no whole numbers; times are microseconds")
            if column.size and not np.abs(column.astype(np.float64)).max() < EXACT:
                raise Refused(f"{where}: {name} are beyond 2**53; correct them")
        columns = {name: column.astype(np.int64) for name, column in columns.items()}
        if len({len(column) for column in columns.values()}) != 1:
            raise Refused(f"{where}: its columns are not equally long; correct it")
        for name, size in zip(("x", "y"), sensor, strict=False):
            places = columns.get(name, np.zeros(0))
            if places.size and not 0 <= places.min() <= places.max() < size:
                raise Refused(f"{where}: {name} lie between {places.min()} and {places.max()}, the sensor has {size}")
        if "p" in columns:
            if not set(np.unique(columns["p"]).tolist()) <= {-1, 0, 1}:
                raise Refused(f"{where}: polarities are 0 and 1, or -1 and 1; convert them")
            columns["p"] = (columns["p"] > 0).astype(np.int64)
        order = np.argsort(columns["t"], kind="stable")
        return [columns[name][order] if name in columns else None for name in AXES]

    def tokens(self, x: Any, y: Any, p: Any) -> np.ndarray:
        """Token numbers of events, by the task's order."""
        fold, sensor = self.task.get("downsample", 1), self.task.get("sensor", [0])
        width, height = (-(-size // fold) for size in (*sensor, 1, 1)[:2])
        kind, x = self.task.get("token") or ("channel" if y is None else "pixel"), x // fold
        if kind == "channel":
            return x
        y = y // fold
        return {"pixel": x + width * y, "x-major": height * x + y, "product": x * y}[kind] + width * height * p

    def bins(self, t: np.ndarray, x: np.ndarray, where: str) -> np.ndarray:
        """Counts in bins of time and groups of channels, (bins, channels // group)."""
        group, width_ms = self.task.get("group", 5), self.task.get("bin_ms", 4)
        columns, milliseconds = self.task["channels"] // group, t // 1000
        count = max(1, int((milliseconds[-1] - milliseconds[0]) // width_ms)) if len(t) else 1
        if count > self.task.get("most_bins", 10_000):
            raise Refused(f"{where} takes {count:,} bins of {width_ms} ms; cut it, or remove its late events")
        rows = np.zeros((max(count, self.task.get("fewest_bins", 250)), columns))
        at = (milliseconds - milliseconds[:1]) // width_ms
        np.add.at(rows, (at[at < count], x[at < count] // group), 1)
        return rows

    def codes(self, rows: np.ndarray) -> np.ndarray:
        """Values as integers: rounded half up at the input's fractional bits, and clipped to its width."""
        bits = self.values["width"] - self.values["signed"]
        shifted = np.asarray(rows, np.float64) * 2.0 ** self.values["frac"]
        whole = np.floor(shifted)
        return np.clip(whole + (shifted - whole >= 0.5), -(1 << bits) * self.values["signed"], (1 << bits) - 1)
