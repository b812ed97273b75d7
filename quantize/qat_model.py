"""The QAT model: a float model with every tensor fake-quantized, as every model family has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import PumiceError
from ..program.errors import ProgramError
from ..program.nodes import Node
from ..train.data.inputs import Inputs, Timing
from .config import QuantizationConfig
from .frozen import FrozenModel

Model = TypeVar("Model", bound=nn.Module)

Observer = TypeVar("Observer")

Frozen = TypeVar("Frozen", bound=FrozenModel[Any])


class QATModel(nn.Module, ABC, Generic[Model, Observer, Frozen]):
    """A float model with every tensor fake-quantized, for quantization-aware training.

    `families.prepare` makes one. Calibrate it (`qat.calibrate`), fine-tune it as any model (float32, straight-through
    gradients), `freeze_scales` before the last phase, `freeze` it, and lower what is frozen (`lowering.lower`).

    Attributes:
        model: its own copy of the float model, which holds the parameters.
        config: widths and calibration.
        timing: of the input.
        scales_frozen: whether the weights' exponents stay as they are.
        freeze_scales_after: training batches after which they do; None for never.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        timing: of the input.
    """

    scales_frozen: Tensor
    batches_seen: Tensor

    def __init__(self, model: Model, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.timing = timing
        self.register_buffer("scales_frozen", torch.tensor(False))
        self.register_buffer("batches_seen", torch.tensor(0))
        self.freeze_scales_after: int | None = None

    @abstractmethod
    def observer(self) -> Observer:
        """A fresh observer for calibration."""

    @abstractmethod
    def observe(self, observer: Observer, inputs: Inputs) -> None:
        """Run the float model on a batch and let ``observer`` see all of it.

        Raises:
            PumiceError: values that are not finite, or input that the model does not read.
        """

    @abstractmethod
    def set_formats(self, observer: Observer) -> None:
        """Take the exponents of all edges and states from what ``observer`` saw.

        Raises:
            PumiceError: it saw nothing at one of them.
        """

    @abstractmethod
    def quantized(self) -> Any:
        """Fake-quantized weights, with gradients to ``model``'s parameters."""

    @abstractmethod
    def _nodes(self) -> Iterator[Node]:
        """The program's nodes in order, derived in float64."""

    @abstractmethod
    def _frozen(self, nodes: tuple[Node, ...]) -> Frozen:
        """The frozen model with these nodes."""

    def count_batch(self) -> None:
        """Called by each forward pass; freezes the scales in training once ``freeze_scales_after`` is reached."""
        if self.training:
            if self.batches_seen == self.freeze_scales_after:
                self.freeze_scales()
            self.batches_seen += 1

    def freeze_scales(self) -> None:
        """Keep the weights' exponents as they are now; from here on only codes change."""
        with torch.no_grad():
            self.quantized()
        self.scales_frozen.fill_(True)

    def freeze(self) -> Frozen:
        """Derive every code, exponent and table in float64; the frozen model's buffers hold them.

        Raises:
            PumiceError: not calibrated, weights that are not finite, or an intermediate that does not fit; names the
                layer.
        """
        try:
            return self._frozen(tuple(self._nodes()))
        except ProgramError as error:
            raise PumiceError(f"the model cannot be lowered: {error}") from error
