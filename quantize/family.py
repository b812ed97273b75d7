"""What a model family brings to quantization."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..models.initial import Shape
from ..program import Program
from ..program.nodes import Node
from ..train.data.inputs import Inputs, Timing
from .config import ARITHMETICS, QuantizationConfig
from .frozen import FrozenModel
from .lowering import DeadZone, Report, check_dead_zones, make_program
from .qat_model import EQUALIZED, QATModel

Model = TypeVar("Model", bound=nn.Module)

QAT = TypeVar("QAT", bound=QATModel[Any, Any, Any])

Frozen = TypeVar("Frozen", bound=FrozenModel[Any])


class FloatFamily(ABC, Generic[Model]):
    """A family of float models.

    Attributes:
        name: as in ``model.family``.
        reads: the data of its models, ``events`` or ``sequences``.
        inputs: what says how wide the input of a model is: ``vocab`` of tokens, ``in_features`` of vectors.
        recipe: of training, a file of configs/training, for the embedded data.
        model: the float models.
    """

    name: ClassVar[str]
    reads: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    recipe: ClassVar[str]
    model: type[Model]

    def answers_every(self, settings: Mapping[str, Any]) -> int | None:
        """Events from one answer to the next of a model of these settings; None: it gives one to a sample, or as its
        data ask.

        Raises:
            PumiceError: a setting outside its limits.
        """
        return None

    @abstractmethod
    def shapes(self, settings: Mapping[str, Any], *, num_classes: int, **inputs: int) -> Iterator[Shape]:
        """Names and shapes of the tensors of the model that `build` makes, one by one, so that few are told of a
        model that is too large.

        Raises:
            PumiceError: as of `build`.
        """

    @abstractmethod
    def build(self, settings: Mapping[str, Any], *, num_classes: int, seed: int | None, **inputs: int) -> Model:
        """A seeded float model from the values of a file of configs/model; without a seed its values mean nothing.

        These are to be loaded over, and made in little time and memory.

        Raises:
            PumiceError: a setting that the model does not have, or outside its limits.
        """


class Family(FloatFamily[Model], Generic[Model, QAT, Frozen]):
    """How models of one family are quantized and lowered.

    Attributes:
        name: as in ``model.family``, where the arithmetic is Pumice's own.
        arithmetic: as in ``quantize.arithmetic``.
        qat: the QAT models.
        frozen: the frozen models.
    """

    arithmetic: ClassVar[str] = ARITHMETICS[0]
    qat: type[QAT]
    frozen: type[Frozen]

    def unavailable(self, config: Mapping[str, Any]) -> str | None:
        """Why the configured model or task cannot be quantized; None if it can."""
        return None

    def prepare(self, model: Model, config: QuantizationConfig, timing: Timing) -> QAT:
        """The QAT model of a float model, with a copy of its weights, to be calibrated.

        Raises:
            PumiceError: settings that do not fit the model or its input.
        """
        return self.qat(copy.deepcopy(model), config, timing)

    def lower(
        self, qat: QAT, frozen: Frozen, class_names: Sequence[str], provenance: Mapping[str, Any] | None = None
    ) -> Program:
        """The program of a frozen model; nothing is computed anew.

        Args:
            qat: the QAT model it was frozen from.
            frozen: as ``qat.freeze`` gives it.
            class_names: one a logit.
            provenance: plain JSON data to keep in the program.

        Raises:
            PumiceError: what no program can hold, or a dead zone that is too large; names the layer and the way out.
        """
        nodes = frozen.nodes()
        check_dead_zones(self.dead_zones(qat, nodes), qat.config.max_dead_zone)
        told = dict(provenance or {}) | ({EQUALIZED: True} if qat.equalized else {})
        return make_program(nodes, frozen.logits, qat.timing.pairing, class_names, told, qat.timing.step_us)

    @abstractmethod
    def dead_zones(self, qat: QAT, nodes: Sequence[Node]) -> Iterable[DeadZone]:
        """The largest dead zone of each state that is meant to decay and that rounding can hold."""

    @abstractmethod
    def report(self, qat: QAT, program: Program) -> Report:
        """What lowering cost."""

    @abstractmethod
    def float_values(self, model: Model, program: Program, inputs: Inputs) -> Mapping[str, NDArray[np.float64]]:
        """What the float model holds where ``program`` has a node, for one sample as a batch of one.

        Returns:
            (rows at the node's rate, channels) by node; states under ``<name>:state``; behind a read-out the last
            value, (1, channels).
        """
