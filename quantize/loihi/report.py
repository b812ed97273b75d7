"""What the codes of a network lowered to Loihi are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...program import Program
from ...program.nodes import LoihiLIF
from ..lowering import LayerReport, Report, clipped, registers
from .model import QuantLoihi

Codes = int | list[int]
"""One number for all neurons, or the least and the most of theirs."""


class LoihiLayerReport(LayerReport):
    """See `LayerReport`.

    formats: of the input and the weights.
    du, dv, vth: decays and thresholds.
    slower: neurons that share a decay faster than their own by more than a twentieth.
    """

    formats: dict[str, str]
    du: Codes
    dv: Codes
    vth: Codes
    slower: int


def lowering_report(qat: QuantLoihi, program: Program) -> list[LoihiLayerReport]:
    """One entry a layer."""
    entries: list[LoihiLayerReport] = []
    for name, layer, source in zip(qat.names(), qat.layers, qat.sources(), strict=True):
        node = program[name]
        assert isinstance(node, LoihiLIF)
        entries.append(
            {
                "layer": layer.path,
                "formats": {"input": str(node.format), "weights": f"{node.weight_bits} bits"},
                "du": _extremes(node.each("du")),
                "dv": _extremes(node.each("dv")),
                "vth": _extremes(node.each("vth")),
                "slower": layer.slower(source),
                "registers": registers(node),
                "clipped_weights": layer.clipped_weights(source),
            }
        )
    return entries


def report(qat: QuantLoihi, program: Program) -> Report:
    """See `Family.report`."""
    entries = lowering_report(qat, program)
    columns = {
        "layer": [entry["layer"] for entry in entries],
        "input": [entry["formats"]["input"] for entry in entries],
        "weights": [entry["formats"]["weights"] for entry in entries],
        "du": [_range(entry["du"]) for entry in entries],
        "dv": [_range(entry["dv"]) for entry in entries],
        "vth": [_range(entry["vth"]) for entry in entries],
        "clipped": list(map(clipped, entries)),
    }
    caption = "du, dv: the current and the potential lose (du + 1) / 4096 and dv / 4096 a step; vth: the threshold"
    hurried = ", ".join(f"{entry['slower']} of {entry['layer']}" for entry in entries if entry["slower"])
    if hurried:
        caption += (
            f"; slower by themselves than dv, and late or silent under an input that lasts: {hurried}; "
            "quantize.shared_param=false gives each neuron its own"
        )
    return Report(entries, "lowering to Loihi", columns, caption)


def _extremes(codes: NDArray[np.int64]) -> Codes:
    least, most = int(codes.min()), int(codes.max())
    return least if least == most else [least, most]


def _range(value: Codes) -> str:
    return str(value) if isinstance(value, int) else f"{value[0]} to {value[1]}"
