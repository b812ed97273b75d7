"""What a model family brings to quantization, and what lowering checks in every family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log2
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor, nn

from ..errors import PumiceError
from ..program import Program, ProgramError
from ..program.nodes import Node
from ..train.data.base import TaskDataModule
from .config import ARITHMETICS, LIMITS, QuantizationConfig
from .twin import FrozenTwin, QuantTwin


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
    """

    layer: str
    state: str
    number: int
    units: float
    share: float
    width: int
    cure: str


def check_dead_zones(zones: Iterable[DeadZone], limit: float) -> None:
    """Refuse a dead zone that takes more than ``limit`` of its state's range.

    Raises:
        PumiceError: names the layer and the width that cures it.
    """
    for zone in zones:
        if zone.share > limit:
            needed = zone.width + max(1, ceil(log2(zone.share / max(limit, 1e-9))))
            largest = LIMITS[zone.state][1]
            cure = f"set quantize.layers to {{{zone.layer}: {{{zone.state}: {needed}}}}}"
            which = "mode" if zone.state == "state" else f"the {zone.state} of neuron"
            raise PumiceError(
                f"{zone.layer}: {which} {zone.number} decays so slowly that its dead zone takes {zone.share:.1%} of a "
                f"state of {zone.width} bits, the limit is {limit:.1%}; {cure if needed <= largest else zone.cure}, or "
                "raise quantize.max_dead_zone"
            )


def make_program(
    nodes: Sequence[Node],
    logits: str,
    pairing: str,
    class_names: Sequence[str],
    provenance: Mapping[str, Any] | None,
) -> Program:
    """The program of these nodes.

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
        )
    except ProgramError as error:
        raise PumiceError(f"the model cannot be lowered: {error}") from error


Model = TypeVar("Model", bound=nn.Module)

Twin = TypeVar("Twin", bound=QuantTwin)

Frozen = TypeVar("Frozen", bound=FrozenTwin)


class Family(ABC, Generic[Model, Twin, Frozen]):
    """How models of one family are quantized and lowered.

    Attributes:
        name: as in ``model.family``, where the arithmetic is Pumice's own.
        arithmetic: as in ``quantize.arithmetic``.
        model: the float models.
        frozen: the frozen twins.
    """

    name: ClassVar[str]
    arithmetic: ClassVar[str] = ARITHMETICS[0]
    model: type[Model]
    frozen: type[Frozen]

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """Why the configured model or task cannot be quantized; None if it can."""
        return None

    @abstractmethod
    def convert(self, model: Model, config: QuantizationConfig, data: TaskDataModule) -> Twin:
        """The uncalibrated twin of a model, with a copy of its weights.

        Raises:
            PumiceError: settings that do not fit the model or the task.
        """

    @abstractmethod
    def lower(self, twin: Twin, frozen: Frozen, data: TaskDataModule, provenance: Mapping[str, Any]) -> Program:
        """The program of a frozen twin.

        Raises:
            PumiceError: what no program can hold, or a dead zone that is too large.
        """

    @abstractmethod
    def report(self, twin: Twin, program: Program) -> list[dict[str, Any]]:
        """What lowering cost, one entry a layer, plain JSON data."""

    @abstractmethod
    def table(self, report: list[dict[str, Any]], twin: Twin) -> Table:
        """The report for people."""

    @abstractmethod
    def float_values(
        self, model: Model, program: Program, values: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor
    ) -> Mapping[str, NDArray[np.float64]]:
        """What the float model holds where ``program`` has a node, for one sample, padded as a batch of one.

        Returns:
            (rows at the node's rate, channels) by node; states under ``<name>:state``; behind a read-out the last
            value, (1, channels).
        """
