"""The stage ``sensitivity``: the width of every tensor lowered alone, by calibration."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ..api.bench import Bench, Measured
from ..api.count import energy_profile
from ..errors import PumiceError
from ..files import read_json, write_json
from ..quantize.widths import KINDS, Place, lowered
from ..terminal import Level, Printer, Table, level, progress
from ..train.settings import LoggingSettings, SystemSettings, read_section
from .bench import Looked, measure_all, open_bench
from .folder import RunFolder
from .quantize import check_decides, check_possible, unavailable

__all__ = ["check", "run", "unavailable"]

RESULT = "sensitivity.json"
DONE = Path("sensitivity", "done.json")
SHOWN = 12
"""Lines of the printed table at either end."""
BASE = "base"


@dataclass(frozen=True)
class SensitivitySettings:
    """Section ``sensitivity``.

    Attributes:
        weights, constants, activations, states: bits that each tensor of the kind is lowered to.
        samples: training samples that calibration looks at; None for all.
        judged: validation samples that judge; None for all.
        counted: samples whose operations are counted.
    """

    weights: list[int] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    activations: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    samples: int | None = 64
    judged: int | None = 256
    counted: int = 2

    def __post_init__(self) -> None:
        for kind, widths in self.to.items():
            if wrong := [bits for bits in widths if bits < 1]:
                raise PumiceError(f"sensitivity.{kind} has {wrong[0]} bits; a width is at least 1")
        if not any(self.to.values()):
            raise PumiceError("sensitivity lowers nothing; give widths of some kind, such as sensitivity.weights=[4]")

    @property
    def to(self) -> dict[str, list[int]]:
        """Widths by kind."""
        return {kind: list(getattr(self, kind)) for kind in KINDS}

    @property
    def looked(self) -> Looked:
        """What judges."""
        return Looked(self.samples, self.judged, self.counted)


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    _ = read_section(SensitivitySettings, config, "sensitivity").looked
    read_section(SystemSettings, config, "system")
    read_section(LoggingSettings, config, "logging")
    energy_profile(config["hardware"])
    check_decides(config, "sensitivity")
    check_possible(config)


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Lower every width alone; write ``sensitivity.json``.

    It holds the settings and figures of the ``base`` and, under ``entries``, those of each lowered width, by rising
    divergence, with its ``from`` and ``to``, and what it saves. A width that changes no integer has no entry: the model
    lacks the tensor.
    """
    settings = read_section(SensitivitySettings, config, "sensitivity")
    start, console = time.monotonic(), Printer()
    bench = open_bench(config, folder.path, settings.looked, None)
    points = {f"{place.name}={bits}": (place, bits) for place, bits in lowered(bench.places, settings.to, bench.config)}
    if not points:
        raise PumiceError(
            "sensitivity: no tensor of this model is wider than what it is to be lowered to; give fewer bits, such as "
            "sensitivity.weights=[2]"
        )
    todo = {name: bench.changed(place.changes(bits, bench.config)) for name, (place, bits) in points.items()}
    kept = folder.path / DONE
    done = _kept(kept, {BASE, *todo})
    if BASE not in done:
        done[BASE] = bench.measure(bench.base).figures()
        write_json(kept, done)
    with progress("widths lowered alone", len(todo), len(done) - 1) as step:
        left = {name: entry for name, entry in todo.items() if name not in done}
        for name, measured in measure_all(config, folder.path, settings.looked, bench, left):
            done[name] = measured.figures()
            write_json(kept, done)
            step()
    result = _result(bench, points, done)
    write_json(folder.path / RESULT, result)
    _print(result, config["task"]["name"], console)
    refused = sum(entry["refused"] is not None for entry in result["entries"])
    return {
        "base": result["base"]["program"],
        "widths": len(result["entries"]),
        "refused": refused,
        "judge": bench.judge,
        "seconds": round(time.monotonic() - start, 1),
    }


def _kept(source: Path, names: Collection[str]) -> dict[str, Any]:
    """The figures that an interrupted run has measured, by name; the record of the stage holds them to its settings.

    Raises:
        PumiceError: the file is damaged.
    """
    if not source.exists():
        return {}
    found = read_json(source)
    try:
        kept = {name: Measured.read(figures).figures() for name, figures in found.items()}
        if not kept.keys() <= set(names):
            raise LookupError("it names widths that are not looked at")
    except (AttributeError, LookupError, TypeError) as error:
        raise PumiceError(f"{source} is damaged; do the stage anew with redo=[sensitivity]") from error
    return kept


def _result(bench: Bench, points: Mapping[str, tuple[Place, int]], done: Mapping[str, Any]) -> dict[str, Any]:
    base, entries = done[BASE], []
    for name, (place, bits) in points.items():
        figures = done[name]
        if figures["refused"] is None and figures["graph"] == base["graph"]:
            continue
        saved = {
            f"saved_{key}": None if figures[key] is None else base[key] - figures[key]
            for key in ("parameter_bits", "state_bits", "bit_operations", "energy_pj")
        }
        at = {"place": place.name, "layer": place.layer, "width": place.width, "kind": place.kind}
        changes = place.changes(bits, bench.config)
        entries.append({**at, "from": place.bits(bench.config), "to": bits, "changes": changes, **figures, **saved})
    entries.sort(key=lambda entry: (entry["refused"] is not None, entry["kl"] or 0.0, entry["place"]))
    return {
        "judge": bench.judge,
        "float": bench.floats(),
        "settings": bench.base,
        "base": dict(base),
        "entries": entries,
    }


def _print(result: Mapping[str, Any], task: str, console: Console) -> None:
    base, entries = result["base"], result["entries"]
    columns = ("tensor", "bits", "KL", "SQNR", "same", "accuracy", "bytes saved", "state saved", "products saved")
    caption = (
        f"{base['decisions']} decisions of {result['judge']}; products: times the bits of both operands; "
        f"from the least harm to the most, all in {RESULT}"
    )
    table = Table(*columns, title=f"each width of {task} lowered alone, by calibration", caption=caption)
    table.add_row("all as they are", "", *_figures(base), f"of {base['parameter_bits'] / 8:,.0f}", "", "")
    possible = [entry for entry in entries if entry["refused"] is None]
    middle = len(possible) > 2 * SHOWN and level() < Level.ALL
    for number, entry in enumerate(possible):
        if middle and number == SHOWN:
            table.add_row("...", *[""] * (len(columns) - 1))
        if middle and SHOWN <= number < len(possible) - SHOWN:
            continue
        share = entry["saved_bit_operations"] / max(base["bit_operations"], 1e-9)
        saved = (f"{entry['saved_parameter_bits'] / 8:,.0f}", f"{entry['saved_state_bits'] / 8:,.0f}", f"{share:.1%}")
        table.add_row(entry["place"], f"{entry['from']} to {entry['to']}", *_figures(entry), *saved)
    console.print(table)
    for entry in entries:
        if entry["refused"] is not None:
            console.print(f"{entry['place']} of {entry['to']} bits is refused: {entry['refused']}")


def _figures(entry: Mapping[str, Any]) -> tuple[str, str, str, str]:
    decisions = max(entry["decisions"], 1)
    sqnr = "" if entry["sqnr_db"] is None else f"{entry['sqnr_db']:.1f} dB"
    return f"{entry['kl']:.1e}", sqnr, f"{entry['same_class'] / decisions:.1%}", f"{entry['correct'] / decisions:.1%}"
