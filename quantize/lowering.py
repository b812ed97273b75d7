"""Lowering: the program of a frozen model, checked for states that cannot decay, and what its integers cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, TypedDict

import numpy as np

from ..errors import PumiceError
from ..program import Program, ProgramError
from ..program.bounds import register
from ..program.nodes import Node
from ..terminal import Table
from .config import LIMITS


class LayerReport(TypedDict):
    """What lowering one layer cost, plain JSON data; families add what is theirs.

    layer: path.
    registers: of each intermediate, "i32" or "i64".
    clipped_weights: entries beyond the range of their codes, by tensor.
    """

    layer: str
    registers: dict[str, str]
    clipped_weights: dict[str, int]


def wide(entry: LayerReport) -> list[str]:
    """The intermediates that need 64 bits."""
    return [what for what, size in entry["registers"].items() if size == "i64"]


def clipped(entry: LayerReport) -> str:
    """How many entries of all its tensors lie beyond the range of their codes."""
    return str(sum(entry["clipped_weights"].values()))


@dataclass(frozen=True)
class Report(Sequence[LayerReport]):
    """What lowering cost: one entry a layer.

    Attributes:
        layers: the entries, plain JSON data.
        title, caption: of the table.
        columns: the table's cells by heading, one a layer.
    """

    layers: Sequence[LayerReport]
    title: str
    columns: Mapping[str, Sequence[str]]
    caption: str | None = None

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, number: Any) -> Any:
        return self.layers[number]

    def table(self) -> Table:
        """The report for people."""
        table = Table(*self.columns, title=self.title, caption=self.caption)
        for row in zip(*self.columns.values(), strict=True):
            table.add_row(*row)
        return table


@dataclass(frozen=True)
class DecayingStates:
    """How a family speaks of the states of its nodes that decay.

    Attributes:
        widths: the setting of a state's width, by the name that its node gives it.
        cure: what to do where the largest width does not suffice.
    """

    widths: Mapping[str, str]
    cure: str


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


Held = Mapping[str, Sequence[int]]
"""Numbers of modes by layer."""
MODES = ""
"""Name of the state that the modes of a state space are."""


class StateZone(TypedDict):
    """The dead zone of the slowest mode or neuron: its number, units, and its share of the state's range."""

    number: int
    units: float
    share: float


def zones_by_layer(zones: Iterable[DeadZone]) -> dict[str, dict[str, StateZone]]:
    """By layer and state, plain JSON data."""
    found: dict[str, dict[str, StateZone]] = {}
    for zone in zones:
        kept: StateZone = {"number": zone.number, "units": zone.units, "share": zone.share}
        found.setdefault(zone.layer, {})[zone.state] = kept
    return found


def layer_path(node: str) -> str:
    """The path of the layer that a node with states belongs to."""
    return node.removesuffix("/ssm").removesuffix("/neurons").replace("/", ".")


def dead_zones(nodes: Iterable[Node], states: DecayingStates, held: Held | None = None) -> Iterator[DeadZone]:
    """The largest dead zone of each state that rounding can hold; what is ``held`` is not meant to decay."""
    for node in nodes:
        layer = layer_path(node.name)
        for state in node.states():
            if state.loss is None or state.rounded is None:
                continue
            loss = state.loss.copy()
            if state.name == MODES:
                loss[list((held or {}).get(layer, ()))] = 0.0
            units = np.where(loss > 0, state.rounded / np.where(loss > 0, loss, 1), 0.0)
            number = int(units.argmax())
            largest = float(units[number])
            share = largest / 2.0 ** (state.width - 1)
            yield DeadZone(layer, states.widths[state.name], number, largest, share, state.width, states.cure)


def registers(node: Node) -> dict[str, str]:
    """The register of each of its intermediates, "i32" or "i64"."""
    return {what: register(bound) for what, bound in node.bounds().items()}


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
