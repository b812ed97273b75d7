"""`QuantRealS5Classifier`: the QAT and the frozen model of S5 with real decays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from ...errors import PumiceError
from ...models.real_s5.classifier import RealS5Classifier
from ...models.real_s5.layer import LAYER_NORM_EPSILON
from ...train.data.inputs import Timing
from ..config import QuantizationConfig
from ..frozen import NodeTable
from ..operations import Dropout
from ..s5.fold import Fold
from ..s5.formats import Geometry
from ..s5.frozen import FrozenEventClassifier
from ..s5.model import QuantEventClassifier
from ..s5.output import Gated, GatedOutput, frozen_gated
from .fold import fold_real_layer

POOLINGS = {"last": "last", "avgpool": "mean", "timepool": "time"}
ACTIVATIONS = {"gelu": "gelu_erf", "relu": "relu"}


def why_not(head: str, recurrence: str) -> str | None:
    """Why a model cannot be lowered; None if it can."""
    if head == "attnpool":
        return (
            "model.head=attnpool cannot be lowered: its weights are exponentials of scores over their sum, which no "
            "fixed exponent holds in a stream; train with head pool, timepool or last"
        )
    if recurrence != "exact":
        return (
            f"model.recurrence={recurrence} cannot be lowered: event by event there is the exact recurrence alone; "
            "set model.recurrence=exact"
        )
    return None


class FrozenRealS5Classifier(FrozenEventClassifier):
    """`RealS5Classifier` as an integer program computes it."""

    @staticmethod
    def output(table: NodeTable, path: str, device: torch.device) -> GatedOutput:
        """See `FrozenEventClassifier.output`."""
        return frozen_gated(table, path, device)


class QuantRealS5Classifier(QuantEventClassifier[RealS5Classifier, FrozenRealS5Classifier]):
    """The QAT model of a `RealS5Classifier`.

    Its output is pooled: states and what D reads are pooled alike, and C and D stand behind the pools.

    Raises:
        PumiceError: a head or a recurrence that integers do not have.
    """

    frozen = FrozenRealS5Classifier
    all_time = False

    def __init__(self, model: RealS5Classifier, config: QuantizationConfig, timing: Timing) -> None:
        if (reason := why_not(model.config.head, model.config.recurrence)) is not None:
            raise PumiceError(reason)
        super().__init__(model, config, timing)

    @classmethod
    def output_of(cls, model: RealS5Classifier) -> Gated:
        """See `QuantEventClassifier.output_of`."""
        return Gated(ACTIVATIONS[model.config.activation], shared=False)

    @classmethod
    def geometries(cls, model: RealS5Classifier) -> Iterator[Geometry]:
        """See `QuantEventClassifier.geometries`."""
        config = model.config
        for number, layer in enumerate(model.layers):
            stage, index = divmod(number, config.layers_per_stage)
            later = stage + 1 < config.stages
            kind = None if config.norm == "none" else config.norm
            inside = config.norm_place == "inside"
            yield Geometry(
                path=f"layers.{number}",
                stride=layer.pool.stride,
                pooling=POOLINGS[config.pooling],
                sampling=POOLINGS[config.pooling],
                discretization=config.discretization,
                before=None,
                inside=kind if inside and kind == "layer" else None,
                after=None if inside else kind,
                residual=config.residual,
                epsilon=LAYER_NORM_EPSILON,
                pools_gap=index == 0 and (config.layers_per_stage > 1 or later),
                pools_weight=config.head == "timepool" or (later and config.pooling == "timepool"),
            )

    @classmethod
    def folds(cls, model: RealS5Classifier) -> Iterator[Fold]:
        """See `QuantEventClassifier.folds`."""
        return (partial(fold_real_layer, layer) for layer in model.layers)

    @classmethod
    def dropout_of(cls, model: RealS5Classifier) -> Dropout:
        """See `QuantEventClassifier.dropout_of`."""
        return Dropout(model.config.dropout, shared=False)
