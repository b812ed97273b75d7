"""The settings of an S5 classifier with real decays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PumiceError
from ..settings import (
    check_choices,
    check_flags,
    check_input,
    check_numbers,
    check_positive,
    check_steps,
    classifier_settings,
)

CHOICES = {
    "decay": ("independent", "shared"),
    "pooling": ("last", "avgpool", "timepool"),
    "head": ("pool", "timepool", "attnpool", "last"),
    "norm": ("layer", "batch", "none"),
    "norm_place": ("inside", "after"),
    "discretization": ("zoh", "dirac", "async"),
    "recurrence": ("exact", "as-trained"),
    "activation": ("gelu", "relu"),
}
FLAGS = ("feedthrough", "residual")
WHOLE = ("num_classes", "d_model", "d_ssm", "stages", "layers_per_stage", "stride", "expansion")


@dataclass(frozen=True, kw_only=True)
class RealS5Config:
    """Settings of `RealS5Classifier` (Nat. Commun. s41467-025-68227-w, arXiv 2511.13912).

    Attributes:
        num_classes: number of logits.
        vocab: number of distinct tokens, for token input; exactly one of vocab and in_features is given.
        in_features: width of the input vectors, for dense input.
        d_model: width of the residual stream in the first stage.
        d_ssm: number of real modes in the first stage.
        stages: number of stages; the first layer of each pools.
        layers_per_stage: layers in a stage.
        stride: events in a pooling window.
        pooling: of the layers' outputs and of the residual stream: "last" (the window's last event), "avgpool" or
            "timepool" (weighted by time).
        expansion: factor of d_model and d_ssm from one stage to the next.
        head: read-out over the encoder's outputs: "pool" (mean), "timepool", "attnpool" or "last".
        norm: "layer", "batch" or "none".
        norm_place: "inside" (of the SSM's output, before the gate) or "after" (of the sum with the residual stream).
        decay: "independent" modes, or one "shared" decay of all modes of a layer, as crossbars have.
        discretization: "zoh", "dirac" or "async".
        recurrence: "exact", or "as-trained": by cumulative products in float32, whose error grows with the decay since
            the sequence began; weights trained with it are right with it alone.
        input_gate: rank of the sigmoid gate on the SSM's input; 0 for one of full rank, None for none.
        activation: "gelu" (with the error function) or "relu", before the gate.
        feedthrough: whether the SSM's input reaches its output directly (D).
        residual: whether layers add to what they read.
        dt_min: smallest initial step, in units of 1 / ms.
        dt_max: largest initial step.
        dropout: probability, of every element by itself.
        step_rescale: factor on every step.

    Raises:
        PumiceError: a value outside its limits, which the message names.
    """

    num_classes: int
    vocab: int | None = None
    in_features: int | None = None
    d_model: int = 32
    d_ssm: int = 32
    stages: int = 2
    layers_per_stage: int = 2
    stride: int = 8
    pooling: str = "avgpool"
    expansion: int = 1
    head: str = "pool"
    norm: str = "layer"
    norm_place: str = "inside"
    decay: str = "independent"
    discretization: str = "zoh"
    recurrence: str = "exact"
    input_gate: int | None = None
    activation: str = "gelu"
    feedthrough: bool = True
    residual: bool = True
    dt_min: float = 0.004
    dt_max: float = 0.1
    dropout: float = 0.0
    step_rescale: float = 1.0

    def __post_init__(self) -> None:
        check_input(self)
        check_positive(self, *WHOLE, "vocab" if self.token_input else "in_features")
        check_choices(self, CHOICES)
        check_flags(self, *FLAGS)
        rank = self.input_gate
        if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 0):
            raise PumiceError(
                f"input_gate={rank} must be a rank of at least 1, 0 for the full one, or null for no gate"
            )
        check_numbers(self, "dt_min", "dt_max", "dropout", "step_rescale")
        check_steps(self)
        if not self.step_rescale > 0:
            raise PumiceError(f"step_rescale={self.step_rescale} must be above 0; use 1 to leave the steps alone")

    @property
    def token_input(self) -> bool:
        """Whether the model reads tokens rather than vectors."""
        return self.vocab is not None

    @property
    def window(self) -> int:
        """Events of one window of the head: the read-out sees nothing of a recording with fewer."""
        return self.stride**self.stages

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **more: Any) -> RealS5Config:
        """Build the settings from plain data, ``more`` taking precedence.

        Raises:
            PumiceError: an unknown or missing key, or a value outside its limits.
        """
        return cls(**classifier_settings(cls, {**settings, **more}, "real-decay S5"))
