"""What the integers of a lowered spiking S5 network cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...program import Program
from ...program.nodes import DiagonalSSM, DrivenLIF, Node
from ..lowering import (
    DeadZone,
    DecayingStates,
    LayerReport,
    Report,
    StateZone,
    clipped,
    dead_zones,
    registers,
    wide,
    zones_by_layer,
)
from ..s5.report import STATES as MODES
from ..s5.report import growing_modes
from .model import QuantSpikingS5

STATES = DecayingStates({**MODES.widths, "u": "potential"}, MODES.cure)


class SpikingS5LayerReport(LayerReport):
    """See `LayerReport`.

    dead_zones: by state.
    state_width, state_frac: bits of the state; its least and most fractional bits.
    gap_digits: binary digits of a gap.
    potential: its format.
    growing_modes: modes that are held, as their real part is not below 0.
    """

    dead_zones: dict[str, StateZone]
    state_width: int
    state_frac: list[int]
    gap_digits: int
    potential: str
    growing_modes: int


def zones(qat: QuantSpikingS5, nodes: Sequence[Node]) -> Iterator[DeadZone]:
    """See `Family.dead_zones`; growing modes are held."""
    return dead_zones(nodes, STATES, growing_modes(qat))


def report(qat: QuantSpikingS5, program: Program) -> Report:
    """See `Family.report`."""
    growing, found = growing_modes(qat), zones_by_layer(zones(qat, program.nodes))
    entries: list[SpikingS5LayerReport] = []
    for layer in qat.layers:
        path, name = layer.geometry.path, layer.geometry.node
        ssm, neurons = program[name("ssm")], program[name("neurons")]
        assert isinstance(ssm, DiagonalSSM)
        assert isinstance(neurons, DrivenLIF)
        linear = [what for what in ("current", "y", "gate", "skip") if name(what) in program.by_name]
        entries.append(
            {
                "layer": path,
                "dead_zones": found[path],
                "state_width": ssm.state_width,
                "state_frac": [int(ssm.state_frac.min()), int(ssm.state_frac.max())],
                "gap_digits": ssm.digits,
                "potential": str(neurons.potential),
                "registers": registers(ssm)
                | registers(neurons)
                | {what: program[name(what)].register for what in linear},
                "clipped_weights": layer.clipped_weights(),
                "growing_modes": len(growing[path]),
            }
        )
    columns = {
        "layer": [entry["layer"].replace("stages.", "").replace("layers.", "") for entry in entries],
        "dead zone": [f"{entry['dead_zones']['state']['share']:.2%}" for entry in entries],
        "gap digits": [str(entry["gap_digits"]) for entry in entries],
        "potential": [entry["potential"] for entry in entries],
        "64-bit": [", ".join(wide(entry)) or "none" for entry in entries],
        "clipped": list(map(clipped, entries)),
        "growing": [str(entry["growing_modes"]) for entry in entries],
    }
    return Report(entries, f"lowering at a tick of {qat.tick_ms:g} ms", columns)
