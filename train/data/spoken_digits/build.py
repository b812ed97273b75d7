"""Building the set: synthesis, encoding, one HDF5 file a split; resumable, and compared with the shipped set."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from ....errors import PumiceError
from ....files import atomic_path, write_json
from ....program.archive import read_arrays
from ....terminal import Printer, progress
from . import archive, encoder
from .layout import SpikeData, read, read_provenance, write
from .synthesis import speak
from .voices import CLASSES, Item, plan, speakers

TRAIN, TEST, SEED = 800, 400, 0  # the shipped set
PACKAGES = ("espeakng-loader", "h5py", "numba", "numpy", "scipy")  # what the spikes and the file's bytes depend on


@dataclass(frozen=True)
class SplitReport:
    """What became of one split.

    Attributes:
        path: the file.
        utterances: recordings in it.
        spikes: spikes in it.
        sha256: of the file.
        content_sha256: of the contents, see `SpikeData.digest`.
        reference: what the shipped set was found to be: ``identical file``, ``identical spikes``, ``different spikes``,
            or ``not comparable`` (another seed, or fewer utterances).
    """

    path: Path
    utterances: int
    spikes: int
    sha256: str
    content_sha256: str
    reference: str


def versions() -> dict[str, str]:
    """Installed versions of what the result depends on; ``missing`` where a package is not installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "missing"
    return found


def other_versions() -> dict[str, tuple[str, str]]:
    """Packages whose version differs from the one the shipped set was built with: name -> (recorded, installed)."""
    installed = versions()
    recorded = archive.checksums()["versions"]
    return {name: (recorded[name], installed[name]) for name in PACKAGES if recorded[name] != installed[name]}


def make(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Speak and encode one recording: times (n,) float16 s, units (n,) uint16."""
    sample_rate, samples = speak(item.utterance)
    return encoder.encode(samples, sample_rate)


def build(
    out_dir: str | Path,
    train: int = TRAIN,
    test: int = TEST,
    seed: int = SEED,
    workers: int | None = None,
) -> dict[str, SplitReport]:
    """Build ``out_dir``/train.h5 and test.h5 with ``train`` and ``test`` utterances, and checksums.json beside them.

    A set with the shipped seed begins with the shipped set: its beginning is compared with it. What is finished is not
    done again: an interrupted build continues where it was, utterance by utterance in groups of 20.

    Args:
        out_dir: folder of the result.
        train: utterances of the training split, a multiple of 20.
        test: utterances of the test split, a multiple of 20.
        seed: draws accents, speeds, pitches and volumes.
        workers: utterances at work at once; the number of processors if not given.

    Raises:
        PumiceError: a count that is no multiple of 20, a missing package, a folder that cannot be written to.
    """
    if seed < 0:
        raise PumiceError(f"seed {seed} is negative; give 0 or more")
    if workers is not None and workers < 1:
        raise PumiceError(f"{workers} workers cannot build anything; give at least 1")
    plans = {"train": plan("train", train, seed), "test": plan("test", test, seed)}
    out_dir = Path(out_dir)
    reports = {}
    for split, items in plans.items():
        target = out_dir / f"{split}.h5"
        provenance = {
            "generator": "pumice spoken-digits",
            "split": split,
            "utterances": len(items),
            "seed": seed,
            "plan_sha256": _digest(items),
            "versions": versions(),
            "encoder": encoder.parameters(),
        }
        if not target.is_file() or read_provenance(target) != provenance:
            _build_split(target, items, seed, provenance, workers or os.cpu_count() or 1)
        reports[split] = _report(split, target, seed)
    write_json(out_dir / "checksums.json", summary(reports, seed))
    return reports


def build_spoken_digits(
    out_dir: str | Path,
    train: int = TRAIN,
    test: int = TEST,
    seed: int = SEED,
    workers: int | None = None,
    console: Console | None = None,
) -> dict[str, SplitReport]:
    """`build`, and say what came out and how it compares with the set that ships with the package."""
    console = console or Printer()
    reports = build(out_dir, train, test, seed, workers)
    for split, report in reports.items():
        console.print(f"{report.path}: {report.utterances} utterances, {report.spikes:,} spikes")
        console.print(f"  compared with the shipped {split} set: {report.reference}", highlight=False)
    if any(report.reference in ("identical spikes", "different spikes") for report in reports.values()):
        for name, (recorded, installed) in other_versions().items():
            console.print(f"  built with {name} {installed}, the shipped set with {recorded}", highlight=False)
    return reports


def summary(reports: dict[str, SplitReport], seed: int) -> dict[str, Any]:
    """What checksums.json records."""
    splits = {}
    for split, report in reports.items():
        splits[split] = {key: value for key, value in asdict(report).items() if key not in ("path", "reference")}
    return {"seed": seed, "versions": versions(), "splits": splits}


def ship(out_dir: str | Path, folder: Path = archive.FOLDER) -> None:
    """Pack a built set into the package: train.h5.xz, test.h5.xz and checksums.json in ``folder``."""
    out_dir = Path(out_dir)
    for split in ("train", "test"):
        archive.pack(out_dir / f"{split}.h5", folder / f"{split}.h5.xz")
    shutil.copyfile(out_dir / "checksums.json", folder / "checksums.json")


def _build_split(target: Path, items: list[Item], seed: int, provenance: dict[str, Any], workers: int) -> None:
    # A part is named by all that it depends on, so that nothing stale is reused and a larger set can take it over.
    parts = target.parent / f".parts-{target.stem}"
    group = len(CLASSES)
    depends = {key: provenance[key] for key in ("versions", "encoder")}
    groups = [items[start : start + group] for start in range(0, len(items), group)]
    paths = [parts / f"{index:05d}-{_digest(part, depends)[:12]}.npz" for index, part in enumerate(groups)]
    missing = [index for index, path in enumerate(paths) if not path.is_file()]
    done = len(items) - group * len(missing)
    with progress(f"{target.name}, utterances", len(items), done) as step, ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(_make_part, paths[i], groups[i]) for i in missing]
        try:
            for job in as_completed(jobs):
                job.result()
                step(group)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    times: list[np.ndarray] = []
    units: list[np.ndarray] = []
    for path in paths:
        try:
            part = read_arrays(path)
            ends = np.cumsum(part["counts"])[:-1]
        except (OSError, ValueError, KeyError) as error:
            raise PumiceError(f"{path} is damaged ({error}); delete it and build again") from error
        times += np.split(part["times"], ends)
        units += np.split(part["units"], ends)
    labels = np.array([item.label for item in items], np.uint16)
    ids = np.array([item.speaker for item in items], np.uint16)
    table = [speaker for members in speakers(seed).values() for speaker in members]
    with atomic_path(target) as path:
        write(path, SpikeData(times, units, labels, ids), table, provenance)
    shutil.rmtree(parts)


def _digest(items: list[Item], *more: Any) -> str:
    text = json.dumps([[asdict(item) for item in items], *more], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _make_part(path: Path, items: list[Item]) -> None:
    made = [make(item) for item in items]
    times, units = (np.concatenate(column) for column in zip(*made, strict=True))
    with atomic_path(path) as temporary:
        np.savez(temporary, times=times, units=units, counts=[len(part) for part, _ in made])


def _report(split: str, path: Path, seed: int) -> SplitReport:
    data = read(path)
    sha256 = archive.sha256(path)
    reference = "not comparable"
    if archive.CHECKSUMS.is_file() and (recorded := archive.checksums())["seed"] == seed:
        shipped = recorded["splits"][split]
        if sha256 == shipped["sha256"]:
            reference = "identical file"
        elif len(data) >= shipped["utterances"]:
            same = data.head(shipped["utterances"]).digest() == shipped["content_sha256"]
            reference = "identical spikes" if same else "different spikes"
    return SplitReport(
        path=path,
        utterances=len(data),
        spikes=sum(len(times) for times in data.times),
        sha256=sha256,
        content_sha256=data.digest(),
        reference=reference,
    )
