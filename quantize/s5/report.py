"""What the integers of a lowered S5 network cost."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from ...program import Program
from ...program.nodes import DiagonalSSM
from ..lowering import DecayingStates, LayerReport, Report, clipped, dead_zones, registers, wide
from .formats import GATE_NAMES
from .model import QuantEventClassifier

STATES = DecayingStates({"": "state"}, "lengthen quantize.tick_ms, or train with a larger dt_min")


class ModeZone(TypedDict):
    """The dead zone of the slowest mode: units, and its share of the state's range."""

    mode: int
    units: float
    share: float


class S5LayerReport(LayerReport):
    """See `LayerReport`.

    dead_zone: of the slowest mode.
    state_width, state_frac: bits of the state; its least and most fractional bits.
    gap_digits: binary digits of a gap.
    growing_modes: modes that are held, as their real part is not below 0.
    """

    dead_zone: ModeZone
    state_width: int
    state_frac: list[int]
    gap_digits: int
    growing_modes: int


def growing_modes(qat: QuantEventClassifier[Any, Any]) -> dict[str, list[int]]:
    """Modes of each layer whose real part is not below 0: the program holds their magnitude."""
    rates = {layer.geometry.path: layer.folded().rate for layer in qat.layers}
    return {path: np.flatnonzero(rate.real >= 0).tolist() for path, rate in rates.items()}


def lowering_report(qat: QuantEventClassifier[Any, Any], program: Program) -> list[S5LayerReport]:
    """One entry a layer."""
    growing = growing_modes(qat)
    zones = {zone.layer: zone for zone in dead_zones(program.nodes, STATES, growing)}
    entries: list[S5LayerReport] = []
    for layer in qat.layers:
        path = layer.geometry.path
        name = layer.geometry.node
        ssm = program[name("ssm")]
        assert isinstance(ssm, DiagonalSSM)
        zone = zones[path]
        linear = [what for what in (*GATE_NAMES, "linear", "y", "gate", "skip") if name(what) in program.by_name]
        entries.append(
            {
                "layer": path,
                "dead_zone": {"mode": zone.number, "units": zone.units, "share": zone.share},
                "state_width": ssm.state_width,
                "state_frac": [int(ssm.state_frac.min()), int(ssm.state_frac.max())],
                "gap_digits": ssm.digits,
                "registers": registers(ssm) | {what: program[name(what)].register for what in linear},
                "clipped_weights": layer.clipped_weights(),
                "growing_modes": len(growing[path]),
            }
        )
    return entries


def report(qat: QuantEventClassifier[Any, Any], program: Program) -> Report:
    """See `Family.report`."""
    entries = lowering_report(qat, program)
    columns = {
        "layer": [entry["layer"].replace("stages.", "").replace("layers.", "") for entry in entries],
        "dead zone": [f"{entry['dead_zone']['share']:.2%}" for entry in entries],
        "gap digits": [str(entry["gap_digits"]) for entry in entries],
        "64-bit": [", ".join(wide(entry)) or "none" for entry in entries],
        "clipped": list(map(clipped, entries)),
        "growing": [str(entry["growing_modes"]) for entry in entries],
    }
    return Report(entries, f"lowering at a tick of {qat.tick_ms:g} ms", columns)
