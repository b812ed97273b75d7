"""From recordings to classes with nothing but numpy and onnxruntime: python run.py [--json] [RECORDING ...]

A recording is a .npy, .npz or .csv file of events, one a row: t in microseconds, x, and of a camera y and p (0, 1, or
-1, 1). Of a model that reads rows of values it is an array (steps, values). Without recordings those of examples.npz
are run, and their logits compared with what the simulator gave: exit code 1 if one differs. How events become what the
model reads stands in the model's metadata.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

MODEL, EXAMPLES = "sequence.onnx", "examples.npz"
AXES = ("t", "x", "y", "p")
EXACT = 1 << 53
Columns = dict[str, Any]


class Refused(Exception):
    """Something is wrong with a recording: one sentence."""


def read(path: Path) -> Any:
    """The columns of a file by name, or an array of rows under the name ``rows``."""
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


class Host:
    """A model with what its metadata say of its input."""

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        about = self.session.get_modelmeta().custom_metadata_map
        self.task: Any = json.loads(about.get("task", "{}"))
        self.class_names = json.loads(about["class_names"])
        self.scale = 2.0 ** -int(about["logits_frac"])
        self.pairing, self.gaps = about["pairing"], json.loads(about["gap_units_us"])
        self.ranges = json.loads(about["input_ranges"])
        self.values: Any = json.loads(about["value_format"]) if "value_format" in about else None
        self.step_us = int(about.get("step_us", 1000))
        self.inputs = [entry.name for entry in self.session.get_inputs()]

    def sample(self, found: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Tokens (L,) or codes (L, F), and times (L,) in microseconds, of a recording as it was read."""
        if self.task.get("kind") not in (None, "binned") or (self.values is not None and not self.task):
            rows = found if isinstance(found, np.ndarray) else found.get("rows")
            axes = 1 if self.values is None else 2
            if rows is None or rows.ndim != axes or rows.dtype.kind not in "biuf":
                raise Refused(f"{where} is no array of {'tokens' if axes == 1 else '(steps, values)'}; convert it")
            times = self.step_us * np.arange(len(rows), dtype=np.int64)
            times = times if isinstance(found, np.ndarray) else found.get("t", times)
            return (rows.astype(np.int64) if axes == 1 else self.codes(rows)), times
        columns = self.events(found, where)
        t, x = columns[:2]
        if self.values is not None:
            rows = self.bins(t, x, where)
            return self.codes(rows), self.step_us * np.arange(len(rows))
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

    def logits(self, sample: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Logits (classes,) int64 of tokens or codes and their times."""
        values, times = sample
        fed = {}
        for name, unit in self.gaps.items():
            ticks = (2 * (times - times[:1]) + unit) // (2 * unit)
            fed[name] = np.diff(ticks) if self.pairing == "next" else np.diff(ticks, prepend=ticks[:1])
        if self.pairing == "next" and self.gaps:
            values = values[:-1]
        name = "value" if self.values is not None else "token"
        fed[name] = values
        for key, (low, high) in self.ranges.items():
            if key in fed and fed[key].size and not low <= fed[key].min() <= fed[key].max() <= high:
                raise Refused(f"{key} lies between {fed[key].min()} and {fed[key].max()}, outside {low} to {high}")
        fed = {key: array[None].astype(np.int32 if key == "value" else np.int64) for key, array in fed.items()}
        fed["valid"] = np.ones((1, len(values)), bool)
        (found,) = self.session.run(["logits"], {key: array for key, array in fed.items() if key in self.inputs})
        return found[0]


def try_examples(host: Host, path: Path) -> bool:
    """Run the stored recordings and compare; whether nothing differs."""
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    wrong = total = 0
    for number in range(len(stored["logits"])):
        columns = {name.partition("_")[2]: stored[name] for name in stored if name.startswith(f"{number}_")}
        found = host.logits(host.sample(columns, f"{path.name}, recording {number}"))
        wrong, total = wrong + int(np.sum(found != stored["logits"][number])), total + found.size
    print(f"{wrong} of {total} logits of {path.name} differ")
    return wrong == 0


def main(words: list[str]) -> int:
    """Answer each recording in a line."""
    here, as_json = Path(__file__).parent, "--json" in words
    host = Host(here / MODEL)
    files = [Path(word) for word in words if word != "--json"]
    if not files:
        return 0 if try_examples(host, here / EXAMPLES) else 1
    for path in files:
        logits = host.logits(host.sample(read(path), str(path)))
        best, scores = int(np.argmax(logits)), logits * host.scale
        name = host.class_names[best] if host.class_names else str(best)
        told = {"file": str(path), "class": name, "index": best, "score": float(scores[best])}
        print(json.dumps({**told, "logits": logits.tolist()}) if as_json else f"{path}: {name}  {scores[best]:.3f}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as error:
        print(f"run.py: {error}", file=sys.stderr)
        sys.exit(2)
