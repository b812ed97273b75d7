"""What the integers of a lowered spiking state-space network cost."""

from __future__ import annotations

from ...program import Program
from ...program.nodes import ChannelSSM, DrivenLIF
from ..lowering import (
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
from .formats import node_name
from .model import QuantSpikingSSM

STATES = DecayingStates({"": "state", "u": "potential"}, "train with a larger dt_min")


class BlockReport(LayerReport):
    """See `LayerReport`.

    dead_zones: by state.
    state_width, state_frac: bits of the state; its least and most fractional bits.
    potential: its format.
    """

    dead_zones: dict[str, StateZone]
    state_width: int
    state_frac: list[int]
    potential: str


def report(qat: QuantSpikingSSM, program: Program) -> Report:
    """See `Family.report`."""
    zones = zones_by_layer(dead_zones(program.nodes, STATES))
    entries: list[BlockReport] = []
    for block in qat.blocks:
        ssm, neurons = program[node_name(block.number, "ssm")], program[node_name(block.number, "neurons")]
        assert isinstance(ssm, ChannelSSM)
        assert isinstance(neurons, DrivenLIF)
        linear = {what: program[node_name(block.number, what)].register for what in ("y", "gate")}
        entries.append(
            {
                "layer": block.path,
                "dead_zones": zones[block.path],
                "state_width": ssm.state_width,
                "state_frac": [int(ssm.state_frac.min()), int(ssm.state_frac.max())],
                "potential": str(neurons.potential),
                "registers": registers(ssm) | registers(neurons) | linear,
                "clipped_weights": block.clipped_weights(),
            }
        )
    columns = {
        "layer": [entry["layer"] for entry in entries],
        "dead zone": [f"{entry['dead_zones']['state']['share']:.2%}" for entry in entries],
        "state bits": [f"{entry['state_frac'][0]} to {entry['state_frac'][1]}" for entry in entries],
        "potential": [entry["potential"] for entry in entries],
        "64-bit": [", ".join(wide(entry)) or "none" for entry in entries],
        "clipped": list(map(clipped, entries)),
    }
    return Report(entries, "lowering", columns, "state bits: fractional ones, the least and the most of any mode")
