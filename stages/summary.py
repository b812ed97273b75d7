"""What a person reads at the end of a whole run, from what its stages have recorded, and where the rest is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files import read_json
from ..records import LOG, METRICS, read_records
from ..terminal import Level, Printer

MOST_NOTES = 8
REPORT = "report.html"
Line = tuple[str, str]


def print_summary(folder: Path) -> None:
    """Print what has been found in a run folder."""
    out = Printer(Level.BRIEF)
    lines = summary(folder)
    width = max(len(name) for name, _ in lines)
    out.print("")
    for name, text in lines:
        out.print(f"{name:<{width}}  {text}", highlight=False)


def summary(folder: Path) -> list[Line]:
    """The lines of a summary: a heading, or nothing where it is that of the line before, and what is to be said.

    Args:
        folder: of a run, of which any stages have finished.
    """
    metrics = read_json(folder / METRICS) if (folder / METRICS).is_file() else {}
    figures = {name: found for name, found in metrics.items() if name in read_records(folder)}
    told = [
        *_training(figures.get("train", {})),
        *_accuracy(figures),
        *_parity(folder, figures),
        *_costs(folder, figures),
        *_exports(folder, figures),
        *_notes(figures),
    ]
    return [*told, *_places(folder)]


def _training(train: Mapping[str, Any]) -> Iterator[Line]:
    if not train:
        return
    what = f"{train['parameters']:,} parameters"
    if "imported" in train or "epochs" not in train:
        yield "model", f"{what}, imported"
        return
    best = train.get("best") or {}
    accuracy = f", validation {best['accuracy']:.2%}" if best.get("accuracy") is not None else ""
    chosen = "" if train["selected_on"] in (None, "none") else f"; best epoch {best['epoch']}{accuracy}"
    took = f"{train['epochs']} epochs of {train['training_samples']:,} samples in {train['seconds']:,.0f} s"
    yield "trained", f"{what}, {took}{chosen}"


def _accuracy(figures: Mapping[str, Any]) -> Iterator[Line]:
    """Float and integer, on the test samples."""
    floats = figures.get("evaluate", {}).get("test")
    quantized = figures.get("quantize", {})
    chosen = quantized.get(quantized.get("chosen"), {}).get("test")
    if floats is not None and "accuracy" not in floats:
        yield "float", f"test: squared error {floats['loss']:.4g}, that of the mean {floats['loss_of_mean']:.4g}"
        if chosen is not None:
            from ..train.values import value_text

            sqnr = "" if chosen["sqnr_db"] is None else f"; against the float model {chosen['sqnr_db']:.1f} dB"
            yield "integers", f"test: {value_text(chosen)}{sqnr}"
        return
    if floats is not None:
        yield "float", f"test {_share(floats)} of {floats['samples']:,}"
    if chosen is not None:
        made = {"qat": "fine-tuned", "ptq": "calibrated"}[quantized["chosen"]]
        yield "integers", f"test {_share(chosen)} of {chosen['samples']:,}, {made}"
        sqnr = "" if chosen["sqnr_db"] is None else f", SQNR {chosen['sqnr_db']:.1f} dB"
        same = f"same class as float: {chosen['same_class']:,} of {chosen['samples']:,}{sqnr}"
        lost, won = chosen["only_float_right"], chosen["only_integer_right"]
        yield "", f"{same}; lost {lost}, won {won} (p = {chosen['mcnemar_p']:.2g})"


def _share(entry: Mapping[str, Any]) -> str:
    from ..train.evaluate import interval_text  # with torch, which nothing else here needs

    low, high = entry["accuracy_95"]
    return f"{entry['accuracy']:.2%} (95 %: {interval_text(low, high)})"


def _parity(folder: Path, figures: Mapping[str, Any]) -> Iterator[Line]:
    """Whether every backend gives the same bits."""
    found = figures.get("simulate")
    if found is None:
        return
    backends = read_json(folder / "simulate.json")["backends"]
    values = sum(entry["values"] for entry in backends.values())
    most = max(entry["samples"] for entry in backends.values())
    told = list(backends)
    for place, entry in enumerate(backends.values()):
        told[place] += "" if entry["samples"] == most else f" ({entry['samples']:,} samples)"
    yield "parity", f"{found['differing']:,} of {values:,} values differ between {', '.join(told)}"
    for name, reason in found["skipped"].items():
        yield "", f"{name} SKIPPED: {reason}"


def _costs(folder: Path, figures: Mapping[str, Any]) -> Iterator[Line]:
    """Bytes, operations, energy, chips."""
    found = figures.get("count")
    if found is None:
        return
    unit = "a step" if read_json(folder / "counts.json")["integer"]["clocked"] else "an event"
    yield "memory", f"{found['parameter_bytes']:,.0f} bytes of parameters, {found['state_bytes']:,.0f} of state"
    macs, dense = found["per_event"]["effective_macs"], found["per_event"]["dense_macs"]
    sums = found["per_event"]["effective_acs"]
    yield "operations", f"{macs:,.0f} products and {sums:,.0f} sums {unit}, of {dense:,.0f} dense products"
    prices = found["energy_pj_per_event"]
    energy = [f"{name} {_nanojoules(prices[name])}" for name in ("integer", "float32") if name in prices]
    yield "energy", f"{unit}, estimated: {', '.join(energy)}"
    fits = found.get("fits", {})
    for verdict, word in ((True, "fits"), (False, "does not fit")):
        chips = [name for name, its in fits.items() if its is verdict]
        if chips:
            yield "chips", f"{word} {', '.join(chips)}"


def _nanojoules(picojoules: Mapping[str, float]) -> str:
    low, high = f"{picojoules['low'] / 1000:,.2f}", f"{picojoules['high'] / 1000:,.2f}"
    return f"{high} nJ" if low == high else f"{low} to {high} nJ"


def _exports(folder: Path, figures: Mapping[str, Any]) -> Iterator[Line]:
    made = [name.removeprefix("export-") for name in figures if name.startswith("export-")]
    if made:
        yield "exports", f"{', '.join(made)}, in {folder}"


def _notes(figures: Mapping[str, Any]) -> Iterator[Line]:
    """What to know of the integer program; where there is much, the beginning."""
    notes = figures.get("quantize", {}).get("notes", ())
    for note in notes[:MOST_NOTES]:
        yield "note", note
    if len(notes) > MOST_NOTES:
        yield "", f"{len(notes) - MOST_NOTES} more in the log"


def _places(folder: Path) -> Sequence[Line]:
    report = [("report", str(folder / REPORT))] if (folder / REPORT).is_file() else []
    return [*report, ("log", str(folder / LOG))]
