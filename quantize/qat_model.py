"""The QAT model: a float model with every tensor fake-quantized, as every model family has it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import PumiceError
from ..program.errors import ProgramError
from ..program.nodes import Node
from ..train.data.inputs import Inputs, Timing
from .config import BEST, LIMITS, METHODS, QuantizationConfig
from .frozen import FrozenModel
from .quantizers import TensorQuantizer
from .tracing import NOTHING

EQUALIZED = "equalized"
"""In a program's provenance: true where its states are counted in other units than the float model's."""

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
        layer_widths: names of the widths that settings give each layer, by its path.
        recorder: what forward passes show their nodes to.
        equalized: whether the copy counts its states in other units than the model that was given.
        output_node: the node that the float model has as well and whose value at each step decides; None without one.

    Args:
        model: the float model, which it keeps.
        config: widths and calibration.
        timing: of the input.
    """

    output_node: ClassVar[str | None] = None
    scales_frozen: Tensor
    batches_seen: Tensor

    def __init__(self, model: Model, config: QuantizationConfig, timing: Timing) -> None:
        super().__init__()
        self.model = model
        if config.calibration.method == BEST:  # nothing chooses here
            config = replace(config, calibration=replace(config.calibration, method=METHODS[-1]))
        self.config = config
        self.timing = timing
        self.register_buffer("scales_frozen", torch.tensor(False))
        self.register_buffer("batches_seen", torch.tensor(0))
        self._held: dict[str, int] = {}
        self.freeze_scales_after: int | None = None
        self.layer_widths: dict[str, tuple[str, ...]] = {}
        self.recorder = NOTHING
        self.equalized = False

    def has_layers(self, known: Mapping[str, Collection[str]]) -> None:
        """Keep which widths each layer has, by its path.

        Raises:
            PumiceError: the settings name a layer or a width that is not among them.
        """
        self.config.check_layers(known)
        self.layer_widths = {path: tuple(name for name in LIMITS if name in names) for path, names in known.items()}

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

    def hidden_nodes(self) -> tuple[str, ...]:
        """Nodes of hidden neurons that spike, here and in the float model."""
        return ()

    def hidden_every(self, name: str) -> int:
        """Steps or events of the input for each of which one of the `hidden_nodes` has a value."""
        return 1

    def float_signals(self, inputs: Inputs) -> dict[str, Tensor]:
        """What the float model holds at ``output_node`` and the `hidden_nodes` at every step, (B, T, n).

        Where a hidden node has a value for `hidden_every` steps these are T.
        """
        return {}

    def taught_logits(self, logits: Tensor) -> Tensor:
        """The float model's logits, any shape, in the units of this model's."""
        return logits

    def output_bias(self) -> nn.Parameter | None:
        """The bias (C,) that the logits are linear in, one to one; None where there is none."""
        return None

    def least_bits(self) -> int:
        """Of the narrowest weights."""
        return min(module.width for module in self.modules() if isinstance(module, TensorQuantizer))

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
        """Called by each forward pass; freezes the scales in training once ``freeze_scales_after`` is reached.

        Training is told by its gradients: without dropout the model is in evaluation mode.
        """
        if self.training or (self.freeze_scales_after is not None and torch.is_grad_enabled()):
            seen = self.held("batches_seen")
            if seen == self.freeze_scales_after:
                self.freeze_scales()
            self.batches_seen += 1
            self._held["batches_seen"] = seen + 1

    def held(self, name: str) -> int:
        """The value of the buffer ``scales_frozen`` or ``batches_seen``; a device is asked for it once."""
        buffer = getattr(self, name)
        if buffer.device.type == "cpu" or name not in self._held:
            self._held[name] = int(buffer)
        return self._held[name]

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._held.clear()

    def freeze_scales(self) -> None:
        """Keep the weights' exponents as they are now; from here on only codes change."""
        with torch.no_grad():
            self.quantized()
        self.scales_frozen.fill_(True)
        self._held["scales_frozen"] = True

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
