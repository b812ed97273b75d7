"""What the integers of a lowered adaptive LIF network cost: dead zones, and the report by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...program import Program
from ...program.bounds import register
from ...program.nodes import AdaptiveLIF, LeakyIntegrator, Neurons, Node
from ..codes import Floats
from ..lowering import DeadZone
from .codes import stability_limit
from .derive import cell_name
from .model import QuantAdLIF

ROUNDED_STEP = 0.5  # units that a step can lose to rounding
CURE = "train with shorter time constants"


def dead_zones(nodes: Sequence[Node]) -> Iterator[DeadZone]:
    """The largest dead zone of each state of neurons and leaky integrators: ``0.5 / (1 - decay)`` units."""
    for node in nodes:
        if isinstance(node, Neurons):
            yield _dead_zone(node, "potential", node.alpha, node.alpha_frac, node.potential.width)
        if isinstance(node, AdaptiveLIF):
            yield _dead_zone(node, "adaptation", node.beta, node.beta_frac, node.adaptation.width)
        if isinstance(node, LeakyIntegrator):
            yield _dead_zone(node, "residual", node.decay, node.decay_frac, node.output.width)


def lowering_report(qat: QuantAdLIF, program: Program) -> list[dict[str, Any]]:
    """One entry a layer, plain JSON data: dead zones, formats, registers, clipped weights, stability.

    ``stability`` is the largest share that any neuron's feedback takes of its limit; below 1 it is stable.
    """
    zones: dict[str, dict[str, Any]] = {}
    for zone in dead_zones(program.nodes):
        kept = {"number": zone.number, "units": zone.units, "share": zone.share}
        zones.setdefault(zone.layer, {})[zone.state] = kept
    layers = [(cell.path, cell_name(cell.number), cell.clipped_weights()) for cell in qat.cells]
    layers.append((qat.readout.path, qat.readout.path, qat.readout.clipped_weights()))
    entries = []
    for path, name, clipped in layers:
        node = program[name]
        entries.append(
            {
                "layer": path,
                "dead_zones": zones[path],
                "formats": _formats(node),
                "registers": {what: register(bound) for what, bound in node.bounds().items()},
                "clipped_weights": clipped,
                "stability": _stability(node) if isinstance(node, AdaptiveLIF) else None,
            }
        )
    return entries


def _formats(node: Node) -> dict[str, str]:
    if isinstance(node, Neurons):
        states = {"input": node.format, "potential": node.potential}
        if isinstance(node, AdaptiveLIF):
            states["adaptation"] = node.adaptation
        return {name: str(format) for name, format in states.items()}
    return {"potential": str(node.output)}


def _stability(node: AdaptiveLIF) -> float:
    alpha, rise, beta, coupling = (
        _values(getattr(node, name), getattr(node, f"{name}_frac")) for name in ("alpha", "rise", "beta", "coupling")
    )
    return float((rise * coupling / stability_limit(node.order, alpha, beta, 1)).max())


def _dead_zone(node: Node, state: str, codes: NDArray[np.integer], frac: int, width: int) -> DeadZone:
    units = ROUNDED_STEP / (1 - _values(codes, frac))
    number = int(units.argmax())
    share = float(units[number]) / 2.0 ** (width - 1)
    path = node.name.replace("/", ".")
    return DeadZone(path, state, number, float(units[number]), share, width, CURE)


def _values(codes: NDArray[np.integer], frac: int) -> Floats:
    return np.ldexp(codes.astype(np.float64), -frac)
