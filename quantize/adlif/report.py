"""What the integers of a lowered adaptive LIF network cost."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ...program import Program
from ...program.nodes import AdaptiveLIF, Neurons, Node
from ..codes import Floats
from ..lowering import DecayingStates, LayerReport, Report, clipped, dead_zones, registers, wide
from ..spiking import cell_name
from .codes import stability_limit
from .model import QuantAdLIF

STATES = DecayingStates(
    {"u": "potential", "w": "adaptation", "i": "adaptation", "": "residual"}, "train with shorter time constants"
)


class NeuronZone(TypedDict):
    """The dead zone of the slowest neuron: its number, units, and its share of the state's range."""

    number: int
    units: float
    share: float


class CellReport(LayerReport):
    """See `LayerReport`.

    dead_zones: by state.
    formats: of the input and the states.
    stability: the largest share that any neuron's feedback takes of its limit; below 1 it is stable.
    """

    dead_zones: dict[str, NeuronZone]
    formats: dict[str, str]
    stability: float | None


def lowering_report(qat: QuantAdLIF, program: Program) -> list[CellReport]:
    """One entry a layer."""
    zones: dict[str, dict[str, NeuronZone]] = {}
    for zone in dead_zones(program.nodes, STATES):
        kept: NeuronZone = {"number": zone.number, "units": zone.units, "share": zone.share}
        zones.setdefault(zone.layer, {})[zone.state] = kept
    layers = [(cell.path, cell_name(cell.number), cell.clipped_weights()) for cell in qat.cells]
    layers.append((qat.readout.path, qat.readout.path, qat.readout.clipped_weights()))
    entries: list[CellReport] = []
    for path, name, lost in layers:
        node = program[name]
        entries.append(
            {
                "layer": path,
                "dead_zones": zones[path],
                "formats": _formats(node),
                "registers": registers(node),
                "clipped_weights": lost,
                "stability": _stability(node) if isinstance(node, AdaptiveLIF) else None,
            }
        )
    return entries


def report(qat: QuantAdLIF, program: Program) -> Report:
    """See `Family.report`."""
    entries = lowering_report(qat, program)
    columns = {
        "layer": [entry["layer"] for entry in entries],
        "formats": [_lines(entry["formats"]) for entry in entries],
        "dead zones": [
            _lines({state: f"{zone['share']:.2%}" for state, zone in entry["dead_zones"].items()}) for entry in entries
        ],
        "64-bit": ["\n".join(wide(entry)) or "none" for entry in entries],
        "clipped": list(map(clipped, entries)),
        "feedback": ["" if entry["stability"] is None else f"{entry['stability']:.1%}" for entry in entries],
    }
    caption = "feedback: the largest share of its limit, below which a neuron is stable"
    return Report(entries, "lowering", columns, caption)


def _lines(named: dict[str, str]) -> str:
    return "\n".join(f"{name} {value}" for name, value in named.items())


def _formats(node: Node) -> dict[str, str]:
    if isinstance(node, Neurons):
        states = {"input": node.format, "potential": node.potential}
        if node.second is not None:
            states["current" if node.kind == "cuba" else "adaptation"] = node.second
        return {name: str(format) for name, format in states.items()}
    return {"potential": str(node.output)}


def _stability(node: AdaptiveLIF) -> float:
    alpha, rise, beta, coupling = (
        _values(getattr(node, name), getattr(node, f"{name}_frac")) for name in ("alpha", "rise", "beta", "coupling")
    )
    return float((rise * coupling / stability_limit(node.order, alpha, beta, 1)).max())


def _values(codes: NDArray[np.integer], frac: int) -> Floats:
    return np.ldexp(codes.astype(np.float64), -frac)
