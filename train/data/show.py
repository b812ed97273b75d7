"""Looking at event data: statistics as a table, rasters as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from ...errors import PumiceError
from ...files import atomic_path
from ...terminal import Printer, Table
from .advice import CORRECT_OR_BUILD
from .plausibility import Plausibility, overview, write_csv
from .recordings import Recordings
from .sources.registry import open_recordings
from .task import SPLITS, TaskConfig
from .times import tick_microseconds, ticks


@dataclass(frozen=True)
class Statistics:
    """Figures of one split.

    Attributes:
        recordings: how many.
        classes: distinct labels that occur.
        per_class: fewest and most recordings of a class that occurs.
        voices: distinct speakers, or None where the data do not say.
        events: mean events in a recording.
        fewest: events in the shortest recording.
        most: events in the longest recording.
        seconds: mean duration, from first to last event.
        longest_s: longest duration in seconds.
        rate: events a second, over all recordings.
        zero_gaps: share of gaps of no tick between successive events.
        mean_gap: mean gap in ticks.
        largest_gap: largest gap in ticks.
    """

    recordings: int
    classes: int
    per_class: tuple[int, int]
    voices: int | None
    events: float
    fewest: int
    most: int
    seconds: float
    longest_s: float
    rate: float
    zero_gaps: float
    mean_gap: float
    largest_gap: int


def statistics(recordings: Recordings, tick_ms: float = 0.5) -> Statistics:
    """Measure a split; gaps are counted in ticks of ``tick_ms``, between rounded absolute times.

    Raises:
        PumiceError: there are no recordings.
    """
    if not len(recordings.labels):
        raise PumiceError(f"{recordings.name} holds no recordings; {CORRECT_OR_BUILD}")
    durations = np.zeros(len(recordings.labels))
    count = zeros = total = largest = 0  # of gaps, in ticks
    for index in range(len(recordings.labels)):
        times = recordings.events(index)["t"]
        if len(times):
            durations[index] = (times[-1] - times[0]) * 1e-6
            gaps = np.diff(ticks(times, tick_microseconds(tick_ms)))
            count, zeros, total = count + len(gaps), zeros + int((gaps == 0).sum()), total + int(gaps.sum())
            largest = max(largest, int(gaps.max(initial=0)))
    counts = np.unique(recordings.labels, return_counts=True)[1]
    events = int(recordings.lengths.sum())
    return Statistics(
        recordings=len(recordings.labels),
        classes=len(counts),
        per_class=(int(counts.min()), int(counts.max())),
        voices=None if recordings.speakers is None else len(np.unique(recordings.speakers)),
        events=events / len(recordings.labels),
        fewest=int(recordings.lengths.min()),
        most=int(recordings.lengths.max()),
        seconds=float(durations.mean()),
        longest_s=float(durations.max()),
        rate=events / max(float(durations.sum()), 1e-6),
        zero_gaps=zeros / max(count, 1),
        mean_gap=total / max(count, 1),
        largest_gap=largest,
    )


def table(
    figures: Mapping[str, Statistics],
    title: str,
    tick_ms: float = 0.5,
    reports: Mapping[str, Sequence[Plausibility]] | None = None,
) -> Table:
    """The statistics of every split, and what its recordings look like, as columns of a table."""
    rows = {
        "recordings": lambda s: f"{s.recordings:,}",
        "classes": lambda s: f"{s.classes}",
        "recordings per class": lambda s: _span(*s.per_class),
        "voices": lambda s: "unknown" if s.voices is None else f"{s.voices}",
        "events per recording": lambda s: f"{s.events:,.0f} ({_span(s.fewest, s.most)})",
        "events per second": lambda s: f"{s.rate:,.0f}",
        "duration": lambda s: f"{s.seconds:.2f} s (longest {s.longest_s:.2f} s)",
        f"gap in ticks of {tick_ms:g} ms": lambda s: f"mean {s.mean_gap:.2f}, largest {s.largest_gap:,}",
        "gaps of no tick": lambda s: f"{100 * s.zero_gaps:.1f} %",
    }
    result = Table("", title=title)
    for split in figures:
        result.add_column(split, justify="right")
    for name, cell in rows.items():
        result.add_row(name, *(cell(value) for value in figures.values()))
    looks = {split: overview(of_split) for split, of_split in (reports or {}).items()}
    for number, name in enumerate(dict.fromkeys(name for lines in looks.values() for name in lines)):
        if number == 0:
            result.add_section()
        result.add_row(name, *(looks[split].get(name, "") for split in figures))
    return result


def _span(least: int, most: int) -> str:
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def draw(recordings: Recordings, chosen: list[int], target: Path) -> None:
    """Draw rasters, channel (or camera column) over time in ms, of the chosen recordings into a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(4.2 * columns, 3 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, index in zip(figure.subplots(rows, columns, squeeze=False).flat, chosen, strict=False):
        events = recordings.events(index)
        axes.scatter(events["t"] / 1000, events["x"], s=0.4, linewidths=0, color="black", rasterized=True)
        label = recordings.labels[index]
        voice = "" if recordings.speakers is None else f", voice {recordings.speakers[index]}"
        axes.set(title=f"{recordings.class_names[label]} ({label}){voice}", xlabel="time (ms)", ylabel="channel")
    for axes in figure.axes[len(chosen) :]:
        axes.set_visible(False)
    with atomic_path(target) as path:
        figure.savefig(path, dpi=110)


def choose(labels: np.ndarray, samples: int, seed: int = 0) -> list[int]:
    """Up to ``samples`` recordings (of ``labels`` (n,)), as many classes as possible, in order of their label."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(labels))
    taken: dict[int, int] = {}
    rank = np.empty(len(labels), np.int64)  # how many of the same class come before it
    for index in shuffled:
        rank[index] = taken.get(int(labels[index]), 0)
        taken[int(labels[index])] = rank[index] + 1
    chosen = shuffled[np.argsort(rank[shuffled], kind="stable")][:samples]
    return sorted(chosen.tolist(), key=lambda index: (labels[index], index))


def show(
    task: TaskConfig, out_dir: str | Path, samples: int = 6, seed: int = 0, console: Console | None = None
) -> list[Path]:
    """Print the statistics of a task's splits and draw ``samples`` rasters of each: ``out_dir``/<task>-<split>.png.

    What each recording looks like (``plausibility``) goes into ``out_dir``/<task>-<split>.csv. Returns the pictures'
    paths.

    Raises:
        PumiceError: fewer than one sample, or the data cannot be read or cannot be right.
    """
    if samples < 1:
        raise PumiceError(f"{samples} rasters cannot be drawn; ask for at least 1")
    console = console or Printer()
    tick_ms = 0.5 if task.tick_ms is None else task.tick_ms
    figures, pictures, reports = {}, [], {}
    for split in SPLITS:
        if split == "validation" and task.validation.by != "own":
            continue  # held out of the training data, not a split of the source
        recordings = open_recordings(task, split)
        reports[split] = [recordings.report(index) for index in range(len(recordings.labels))]
        figures[split] = statistics(recordings, tick_ms)
        write_csv(reports[split], Path(out_dir) / f"{task.name}-{split}.csv")
        pictures.append(Path(out_dir) / f"{task.name}-{split}.png")
        draw(recordings, choose(recordings.labels, samples, seed), pictures[-1])
    console.print(table(figures, task.name, tick_ms, reports))
    console.print(f"by recording: {Path(out_dir) / task.name}-*.csv", highlight=False)
    for picture in pictures:
        console.print(f"rasters: {picture}", highlight=False)
    return pictures
