"""What a model family brings to quantization."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from torch import Tensor, nn

from ..train.data.base import TaskDataModule
from .config import ARITHMETICS, QuantizationConfig
from .frozen import FrozenTwin
from .program import Program
from .twin_base import QuantTwin

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
