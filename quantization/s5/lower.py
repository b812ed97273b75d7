"""What the integers of a lowered S5 network cost: dead zones, and the report by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...program import Program
from ...program.bounds import register
from ...program.nodes import DiagonalSSM, Node
from ..codes import decay_magnitude
from ..lowering import DeadZone
from .model import QuantS5Classifier

ROUNDED_STEP = 0.71  # units that a complex decay step can lose to rounding, 1 / sqrt(2)
CURE = "lengthen quantize.tick_ms, or train with a larger dt_min"


def growing_modes(qat: QuantS5Classifier) -> dict[str, list[int]]:
    """Modes of each layer whose real part is not below 0: the program holds their magnitude."""
    rates = {layer.geometry.path: layer.layer.ssm.rates() for layer in qat.layers}
    return {path: torch.nonzero(rate.real >= 0).flatten().tolist() for path, rate in rates.items()}


def dead_zones(nodes: Sequence[Node], held: Mapping[str, Sequence[int]] | None = None) -> Iterator[DeadZone]:
    """The largest dead zone of each layer; modes that are ``held`` or do not decay at all have none."""
    for node in nodes:
        if isinstance(node, DiagonalSSM):
            lost = decay_magnitude(node.decay_re[0], node.decay_im[0], node.decay_exponent[0])
            lost[list((held or {}).get(_path(node), ()))] = 0.0
            units = np.where(lost > 0, ROUNDED_STEP / np.where(lost > 0, lost, 1), 0.0)
            mode = int(units.argmax())
            share = float(units[mode]) / 2.0 ** (node.state_width - 1)
            yield DeadZone(_path(node), "state", mode, float(units[mode]), share, node.state_width, CURE)


def lowering_report(qat: QuantS5Classifier, program: Program) -> list[dict[str, Any]]:
    """One entry a layer, plain JSON data: dead zone, registers, digits of a gap, clipped weights, growing modes."""
    growing = growing_modes(qat)
    zones = {zone.layer: zone for zone in dead_zones(program.nodes, growing)}
    entries = []
    for layer in qat.layers:
        path = layer.geometry.path
        name = layer.geometry.node
        ssm = program[name("ssm")]
        zone = zones[path]
        registers = {what: register(bound) for what, bound in ssm.bounds().items()}
        for linear in ("y", "gate", "skip"):
            if name(linear) in program.by_name:
                registers[linear] = program[name(linear)].accumulator
        entries.append(
            {
                "layer": path,
                "dead_zone": {"mode": zone.number, "units": zone.units, "share": zone.share},
                "state_width": ssm.state_width,
                "state_frac": [int(ssm.state_frac.min()), int(ssm.state_frac.max())],
                "gap_digits": ssm.digits,
                "registers": registers,
                "clipped_weights": layer.clipped_weights(),
                "growing_modes": len(growing[path]),
            }
        )
    return entries


def _path(node: DiagonalSSM) -> str:
    return node.name.removesuffix("/ssm").replace("/", ".")
