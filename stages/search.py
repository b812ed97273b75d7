"""The stage ``search``: the right widths for a whole model, by what they lose and what they cost."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from ..api.bench import Bench, Measured
from ..api.chips import chip_profile
from ..api.count import energy_profile
from ..api.presets import merged
from ..api.width_space import COSTS, QUALITIES, Point, Space, pareto_set
from ..errors import PumiceError
from ..files import atomic_path, read_json, remove, write_json
from ..quantize.config import METHODS, QuantizationConfig
from ..quantize.widths import KINDS
from ..terminal import Printer, Table
from ..train.settings import SystemSettings, read_section
from .bench import Looked, end_with_parent, jobs_of, leave_interruptions, open_bench
from .folder import RunFolder
from .quantize import check_decides, check_possible, unavailable
from .sensitivity import RESULT as SENSITIVITY
from .study import SAMPLERS, Journal, require_optuna

__all__ = ["check", "run", "unavailable"]

RESULT = "search.json"
FOLDER = "search"
TOLD_EVERY_S = 30.0


@dataclass(frozen=True)
class SearchSettings:
    """Section ``search``.

    Attributes:
        objectives: one of `QUALITIES`, then one or more of `COSTS`.
        weights, constants, activations, states: bits that each tensor of the kind may have beside its own; of none, the
            kind stays as it is.
        methods: calibrations to choose from; of none, that of sensitivity.
        ticks_ms: lengths of a tick to choose from; likewise.
        limits: the most that a point may cost, by names of `COSTS`; None for no limit.
        chip: that a point has to fit, a name of configs/chip; None for none.
        chip_limits: in place of the chip's own, by name.
        sampler: one of `SAMPLERS`.
        samples: training samples that calibration looks at; None for all.
        judged: validation samples that judge; None for all.
        counted: samples whose operations and energy are counted.
        trials: in all, over every process and every call.
        minutes: of one call; None for no limit.
        most_divergence: of the point that is chosen from the float model, in nats, before it is fine-tuned.
    """

    objectives: list[str] = field(default_factory=list)
    weights: list[int] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    activations: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    ticks_ms: list[float] = field(default_factory=list)
    limits: dict[str, float | None] = field(default_factory=dict)
    chip: str | None = None
    chip_limits: dict[str, int] = field(default_factory=dict)
    sampler: str = "tpe"
    samples: int | None = 64
    judged: int | None = 256
    counted: int = 2
    trials: int = 400
    minutes: float | None = None
    most_divergence: float = 0.01

    def __post_init__(self) -> None:
        known = f"one of {', '.join(QUALITIES)}, then one or more of {', '.join(COSTS)}"
        quality, costs = self.objectives[:1], self.objectives[1:]
        if not costs or not set(quality) <= QUALITIES.keys() or not set(costs) <= COSTS.keys():
            raise PumiceError(f"search.objectives={self.objectives} has to be {known}")
        if len(set(costs)) < len(costs):
            raise PumiceError(f"search.objectives={self.objectives} names a cost twice; leave one out")
        if unknown := [name for name in self.limits if name not in COSTS]:
            raise PumiceError(f"search.limits: {unknown[0]} is unknown; use some of {', '.join(COSTS)}")
        if self.sampler not in SAMPLERS:
            raise PumiceError(f"search.sampler={self.sampler} is unknown; use one of {', '.join(SAMPLERS)}")
        if unknown := [name for name in self.methods if name not in METHODS]:
            raise PumiceError(f"search.methods: {unknown[0]} is unknown; use some of {', '.join(METHODS)}")
        if self.trials < 1:
            raise PumiceError(f"search.trials={self.trials} has to be at least 1")
        if self.minutes is not None and not self.minutes > 0:
            raise PumiceError(f"search.minutes={self.minutes} has to be positive, or null for no limit")
        if not self.most_divergence >= 0:
            raise PumiceError(f"search.most_divergence={self.most_divergence} has to be 0 or more")

    @property
    def to(self) -> dict[str, list[int]]:
        """Widths by kind."""
        return {kind: list(getattr(self, kind)) for kind in KINDS}

    @property
    def looked(self) -> Looked:
        """What judges."""
        return Looked(self.samples, self.judged, self.counted, self.chip, dict(self.chip_limits))

    @property
    def limited(self) -> dict[str, float]:
        """The limits that there are."""
        return {name: limit for name, limit in self.limits.items() if limit is not None}

    def judge(self, found: Measured) -> tuple[list[float], list[float]]:
        """The objectives of what was measured, and by how much it is above each limit."""
        quality, *costs = self.objectives
        values = [QUALITIES[quality](found), *(COSTS[name](found) for name in costs)]
        above = [COSTS[name](found) - limit for name, limit in self.limited.items()]
        return values, above if self.chip is None else [*above, float(found.breaches or 0)]


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting, or the extra that is missing.
    """
    require_optuna()
    looked = read_section(SearchSettings, config, "search").looked
    if looked.chip is not None:
        chip_profile(looked.chip, looked.chip_limits)
    elif looked.chip_limits:
        raise PumiceError("search.chip_limits are those of a chip; name it by search.chip, such as stm32-like")
    energy_profile(config["hardware"])
    read_section(SystemSettings, config, "system")
    check_decides(config, "search")
    check_possible(config)


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Try points until there are enough, or the time is over; write ``search.json`` and ``search/quantize/*.yaml``.

    Several calls may do so at once, and each goes on where all of them were. ``search.json`` holds the Pareto set, a
    point an entry, by rising cost, and the one that is ``chosen``; each has a file of settings for ``quantize=``.
    """
    settings = read_section(SearchSettings, config, "search")
    start = time.monotonic()
    until = None if settings.minutes is None else time.time() + 60 * settings.minutes
    console = Printer()
    jobs, threads = jobs_of(config, settings.trials)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_other, args=(dict(config), folder.path, threads, until)) for _ in range(jobs - 1)]
    for process in others:
        process.start()
    try:
        bench, space, journal = _work(config, folder.path, settings, threads, until, console)
        for process in others:
            process.join()
    finally:
        for process in others:
            process.kill()
    if died := [process.exitcode for process in others if process.exitcode]:
        raise PumiceError(
            f"{len(died)} of the processes that search died (exit code {died[0]}), perhaps for want of memory; what is "
            "done is kept, the same command goes on, with system.jobs=1 in this process alone"
        )
    with journal.locked():
        result = _result(config, settings, bench, space, journal)
        _write(config, folder.path, result, settings)
    journal.close()
    _print(result, settings, config["task"]["name"], folder.path, console)
    return {
        "trials": result["trials"],
        "refused": result["refused"],
        "front": len(result["front"]),
        "point": result["chosen"],
        "seconds": round(time.monotonic() - start, 1),
    }


def _other(config: Mapping[str, Any], folder: Path, threads: int | None, until: float | None) -> None:
    """What a further process does."""
    leave_interruptions()
    end_with_parent()
    settings = read_section(SearchSettings, config, "search")
    *_, journal = _work(config, folder, settings, threads, until, None)
    journal.close()


def _work(
    config: Mapping[str, Any],
    folder: Path,
    settings: SearchSettings,
    threads: int | None,
    until: float | None,
    console: Console | None,
) -> tuple[Bench, Space, Journal]:
    """Try one point after the other; tell of it where there is a ``console``."""
    looked_at = read_json(folder / SENSITIVITY)
    try:
        entries, method = looked_at["entries"], looked_at["settings"]["calibration"]["method"]
        fixed = merged(config["quantize"], {"calibration": {"method": method}})
        bench = open_bench({**config, "quantize": fixed}, folder, settings.looked, threads)
        space = Space.of(bench.base, entries, settings.to, settings.methods, settings.ticks_ms)
        first = space.first(entries, looked_at["base"]["kl"], settings.objectives[1])
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise PumiceError(f"{folder / SENSITIVITY} is damaged; write it anew with redo=[sensitivity]") from error
    if not any(len(values) > 1 for values in space.choices.values()):
        raise PumiceError("search: there is nothing to choose; give widths of some kind, such as search.weights=[4,6]")
    journal = Journal(
        folder / FOLDER,
        objectives=len(settings.objectives),
        limits=len(settings.limited) + (settings.chip is not None),
        sampler=settings.sampler,
        seed=config["seed"],
        space=space,
        first=first,
    )
    told = time.monotonic()
    known: dict[tuple[int, ...], Measured] = {}

    def measure(point: Point) -> Measured:
        key = tuple(point[name] for name in space.choices)
        if key not in known:
            known.update({_key(space, journal.point(trial)): found for trial, found in journal.trials()})
        return known[key] if key in known else bench.measure(space.settings(point))

    try:
        while (until is None or time.time() < until) and journal.step(settings.trials, measure, settings.judge):
            if console is not None and time.monotonic() - told > TOLD_EVERY_S:
                told = time.monotonic()
                console.print(f"  {len(journal.trials())} of {settings.trials} points tried", highlight=False)
    except BaseException:
        journal.close()
        raise
    return bench, space, journal


def _key(space: Space, point: Point) -> tuple[int, ...]:
    return tuple(point[name] for name in space.choices)


def _result(
    config: Mapping[str, Any], settings: SearchSettings, bench: Bench, space: Space, journal: Journal
) -> dict[str, Any]:
    """What ``search.json`` holds."""
    trials = journal.trials()
    possible = [(trial, found) for trial, found in trials if found.refused is None]
    unique: dict[tuple[int, ...], Any] = {}
    for trial, found in possible:
        unique.setdefault(_key(space, journal.point(trial)), (trial, found))
    tried = [
        {
            "name": f"point-{trial.number}",
            "changes": space.changes(journal.point(trial)),
            "widths": {name: space.places[name][journal.point(trial)[name]] for name in space.places},
            "within": all(above <= 0 for above in settings.judge(found)[1]),
            "values": settings.judge(found)[0],
            "costs": {name: of(found) for name, of in COSTS.items()},
            "figures": found.figures(),
        }
        for trial, found in unique.values()
    ]
    within = [entry for entry in tried if entry["within"]]
    front = [within[number] for number in pareto_set([entry["values"] for entry in within])]
    front.sort(key=lambda entry: (entry["values"][1:], entry["values"][0]))
    near = [entry for entry in front if entry["figures"]["kl"] <= settings.most_divergence]
    return {
        "objectives": list(settings.objectives),
        "limits": settings.limited,
        "chip": settings.chip,
        "judge": bench.judge,
        "float": bench.floats(),
        "most_divergence": settings.most_divergence,
        "trials": len(trials),
        "refused": len(trials) - len(possible),
        "base": next((entry["figures"] for entry in tried if not entry["changes"]), None),
        "front": front,
        "tried": [
            {"name": entry["name"], "within": entry["within"], **entry["costs"]}
            | {key: entry["figures"][key] for key in ("correct", "same_class", "decisions", "kl", "sqnr_db")}
            for entry in tried
        ],
        "chosen": near[0]["name"] if near else None,
    }


def _write(config: Mapping[str, Any], folder: Path, result: Mapping[str, Any], settings: SearchSettings) -> None:
    """Write the result, and every point of the Pareto set as a configuration of ``quantize``."""
    place = folder / FOLDER / "quantize"
    remove(place)
    for entry in result["front"]:
        changed = merged(config["quantize"], entry["changes"])
        changed["name"] = entry["name"]
        QuantizationConfig.from_mapping(changed)
        with atomic_path(place / f"{entry['name']}.yaml") as path:
            path.write_text(yaml.safe_dump(changed, sort_keys=False), encoding="utf-8")
    write_json(folder / RESULT, result)


def _print(result: Mapping[str, Any], settings: SearchSettings, task: str, folder: Path, console: Console) -> None:
    costs = settings.objectives[1:]
    caption = f"{result['trials']} points tried, {result['refused']} of them refused; judged by {result['judge']}"
    columns = ("point", *(name.replace("_", " ") for name in costs), "KL", "SQNR", "same", "accuracy")
    table = Table(*columns, title=f"widths of {task} that no others dominate, by calibration", caption=caption)
    for entry in result["front"]:
        figures = entry["figures"]
        decisions = max(figures["decisions"], 1)
        sqnr = "" if figures["sqnr_db"] is None else f"{figures['sqnr_db']:.1f} dB"
        table.add_row(
            entry["name"] + (" (chosen)" if entry["name"] == result["chosen"] else ""),
            *(f"{value:,.0f}" for value in entry["values"][1:]),
            f"{figures['kl']:.1e}",
            sqnr,
            f"{figures['same_class'] / decisions:.1%}",
            f"{figures['correct'] / decisions:.1%}",
        )
    console.print(table)
    if not result["front"]:
        console.print("no point that was tried keeps the limits; give higher ones, or lower widths")
        return
    if result["chosen"] is None:
        console.print(
            f"no point diverges from the float model by at most {settings.most_divergence:g}; raise "
            "search.most_divergence, or let widths be larger",
        )
        return
    console.print(
        f"{result['chosen']} is the cheapest that diverges by at most {settings.most_divergence:g}; fine-tune it:",
        highlight=False,
    )
    console.print(
        f"  pumice quantize run_dir={folder} --config-dir {folder / FOLDER} quantize={result['chosen']} "
        "redo=[quantize]",
        highlight=False,
    )
