"""What fine-tuning and its options are worth: trained runs quantized in several ways, means over the runs.

    python benchmarks/fine_tuning.py RUN_FOLDER ... [--ways 'w8a8' 'w4a8 qat.epochs=3' ...] [--results FILE]

A way is a preset of configs/quantize and settings that replace its own. Of every run, whose float model was trained
with a seed of its own, each way calibrates, fine-tunes and is judged on the whole test set: signal to noise of the
logits against the float model's, decisions that are the float model's, and points of accuracy that are lost. What was
chosen is what `pumice quantize` keeps, by validation alone. The last column is the CPU time of a way, calibration
included. Results are kept in a file, and what is there is not done again. Without a run folder a model with random
weights is taken, of which the figures say nothing.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pumice.api.candidates import predictions
from pumice.api.presets import merged, preset
from pumice.api.quantize import CALIBRATED, TUNED, Tuning, quantize
from pumice.api.runs import open_run
from pumice.api.simulated import Simulated
from pumice.files import write_json
from pumice.hw_sim.parity.noise import sqnr_of
from pumice.stages.build import build_data, build_model
from pumice.train.evaluate import Predictions
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from rich.console import Console
from rich.table import Table
from timing import parse, parser

WAYS = ("w8a8", "w4a8", "w4a8-all", "w2a8")


class Source:
    """A run folder: its float model, data, and what the model says of the test set."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            run = open_run(folder)
            self.config, self.model = dict(run.config), run.model
        else:
            sections = {"task": "spoken-digits", "model": "s5/tiny", "training": "spoken-digits"}
            self.config = {section: preset(section, name) for section, name in sections.items()} | {"seed": 0}
        self.recipe = read_section(TrainingSettings, self.config, "training")
        self.data = build_data(self.config, self.recipe, SystemSettings())
        if folder is None:
            self.model = build_model(self.config, self.data)
        self.said = predictions(self.model, self.data.batches("test"))

    def results(self, way: str) -> dict[str, Any]:
        """The figures of a way."""
        name, *changes = way.split()
        settings = merged({"name": name}, OmegaConf.to_container(OmegaConf.from_dotlist(changes)))
        begun = time.process_time()
        done = quantize(self.model, self.data, settings, fine_tune=Tuning(recipe=self.recipe, seed=self.config["seed"]))
        spent = time.process_time() - begun
        found: dict[str, Any] = {"float": right(self.said), "cpu_seconds": round(spent, 1), "chosen": done.chosen}
        for label, frozen in done.candidates.items():
            said = predictions(Simulated(frozen, self.data.timing), self.data.batches("test"))
            same = float((said.logits.argmax(1) == self.said.logits.argmax(1)).mean())
            sqnr = sqnr_of(said.logits, self.said.logits)
            found[label] = {"accuracy": right(said), "sqnr_db": sqnr, "same_class": same}
        return found


def right(said: Predictions) -> float:
    """Share of decisions that are right."""
    return float((said.logits.argmax(1) == said.labels).mean())


def table_of(runs: Sequence[dict[str, dict[str, Any]]], ways: Sequence[str]) -> Table:
    """Means over runs, and in brackets the lowest of them, or of losses the largest."""
    title = f"means over {len(runs)} runs, in brackets the worst; lost: points of the float model's accuracy"
    table = Table(title=title)
    columns = (
        "way",
        "calibrated dB",
        "same %",
        "lost",
        "fine-tuned dB",
        "same %",
        "lost",
        "gain dB",
        "chosen",
        "CPU s",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("way", "chosen") else "right")
    for way in ways:
        found = [run[way] for run in runs]
        row, levels = [way], {}
        for label in (CALIBRATED, TUNED):
            if not all(label in one for one in found):
                row += ["", "", ""]
                continue
            levels[label] = [one[label]["sqnr_db"] for one in found]
            same = [100 * one[label]["same_class"] for one in found]
            lost = [100 * (one["float"] - one[label]["accuracy"]) for one in found]
            row += [_mean(levels[label], min), _mean(same, min), _mean(lost, max, 2)]
        gains = [tuned - before for before, tuned in zip(*levels.values(), strict=True)] if len(levels) == 2 else []
        spent = statistics.fmean(one["cpu_seconds"] for one in found)
        row += [_mean(gains, min) if gains else "", " ".join(one["chosen"] for one in found), f"{spent:.0f}"]
        table.add_row(*row)
    return table


def _mean(values: Sequence[float], worst: Any, digits: int = 1) -> str:
    return f"{statistics.fmean(values):.{digits}f} ({worst(values):.{digits}f})"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("runs", nargs="*", type=Path, metavar="RUN_FOLDER")
    made.add_argument("--ways", nargs="+", default=list(WAYS), metavar="WAY")
    made.add_argument("--results", type=Path, default=None, help="a JSON file that is continued")
    one = {"ways": ["w4a8 qat.epochs=0 calibration.samples=16 calibration.bias=16"]}
    options = parse(made, {"ways": ["w4a8 qat.epochs=1"]}, one)

    console = Console(width=160)
    kept: dict[str, dict[str, Any]] = {}
    if options.results is not None and options.results.exists():
        kept = json.loads(options.results.read_text(encoding="utf-8"))
    for folder in options.runs or [None]:
        known, source = kept.setdefault(str(folder), {}), None
        for way in options.ways:
            if way in known:
                continue
            source = source or Source(folder)
            known[way] = source.results(way)
            console.print(f"{folder or 'random weights'}, {way}: {known[way]}", highlight=False)
            if options.results is not None:
                write_json(options.results, kept)
    console.print(table_of([kept[str(folder)] for folder in options.runs or [None]], options.ways))


if __name__ == "__main__":
    main()
