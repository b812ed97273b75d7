"""Lowering: the program of a frozen model, checked for states that cannot decay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any

from ..errors import PumiceError
from ..program import Program, ProgramError
from ..program.nodes import Node
from .config import LIMITS


@dataclass(frozen=True)
class DeadZone:
    """Where a state stops decaying, because a decay step of one tick rounds to nothing.

    Attributes:
        layer: path.
        state: the width's name, such as "state" or "adaptation".
        number: of the slowest mode or neuron.
        units: what a step can lose to rounding over what it decays by.
        share: of the state's range.
        width: bits of the state.
        cure: what to do where the largest width does not suffice.
        fixed: the width is the chip's, and no setting changes it.
    """

    layer: str
    state: str
    number: int
    units: float
    share: float
    width: int
    cure: str
    fixed: bool = False


def check_dead_zones(zones: Iterable[DeadZone], limit: float) -> None:
    """Refuse a dead zone that takes more than ``limit`` of its state's range.

    Raises:
        PumiceError: names the layer and the width that cures it.
    """
    for zone in zones:
        if zone.share > limit:
            needed = zone.width + max(1, ceil(log2(zone.share / max(limit, 1e-9))))
            largest = LIMITS[zone.state][1]
            widen = f"set quantize.layers to {{{zone.layer}: {{{zone.state}: {needed}}}}}"
            cure = zone.cure if zone.fixed or needed > largest else widen
            which = "mode" if zone.state == "state" else f"the {zone.state} of neuron"
            raise PumiceError(
                f"{zone.layer}: {which} {zone.number} decays so slowly that its dead zone takes {zone.share:.1%} of a "
                f"state of {zone.width} bits, the limit is {limit:.1%}; {cure}, or "
                "raise quantize.max_dead_zone"
            )


def make_program(
    nodes: Sequence[Node],
    logits: str,
    pairing: str,
    class_names: Sequence[str],
    provenance: Mapping[str, Any] | None,
    step_us: int | None = None,
) -> Program:
    """The program of these nodes; ``step_us``: of a clocked one, the length of its steps where that is known.

    Raises:
        PumiceError: what no program can hold.
    """
    try:
        return Program(
            nodes=tuple(nodes),
            logits=logits,
            pairing=pairing,
            class_names=tuple(class_names),
            provenance=dict(provenance or {}),
            step_us=step_us,
        )
    except ProgramError as error:
        raise PumiceError(f"the model cannot be lowered: {error}") from error
