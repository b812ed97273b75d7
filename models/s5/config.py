"""The settings of an S5 / event-SSM classifier."""

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

STEPS = "steps"
"""The head that reads out nothing: the decoder gives logits of every output of the encoder."""
CHOICES = {
    "pooling": ("last", "avgpool", "timepool"),
    "head": ("pool", "timepool", "last", STEPS),
    "norm": ("layer", "batch", "none"),
    "activation": ("gelu", "relu"),
    "discretization": ("zoh", "dirac", "async"),
    "c_init": ("lecun_normal", "trunc_standard_normal", "complex_normal"),
}
FLAGS = ("conj_sym", "clip_eigs", "feedthrough", "residual")
POSITIVE_INTEGERS = (
    "num_classes",
    "d_model",
    "d_ssm",
    "block_size",
    "stages",
    "layers_per_stage",
    "stride",
    "expansion",
)


@dataclass(frozen=True, kw_only=True)
class S5Config:
    """Settings of `S5Classifier` (Schoene et al. 2024, arXiv 2404.18508).

    Attributes:
        num_classes: number of logits.
        vocab: number of distinct tokens, for token input; exactly one of vocab and in_features is given.
        in_features: width of the input vectors, for dense input.
        d_model: width of the residual stream in the first stage.
        d_ssm: number of modes in the first stage, conjugate halves included.
        block_size: size of the HiPPO blocks; divides d_ssm.
        stages: number of stages; the first layer of each pools.
        layers_per_stage: layers in a stage.
        stride: events in a pooling window.
        pooling: "last" (the window's first event), "avgpool" or "timepool" (weighted by time).
        expansion: factor of d_model and d_ssm from one stage to the next.
        head: read-out over the encoder's outputs: "pool" (mean), "timepool" or "last"; or "steps", none: logits of
            every output, one a window.
        norm: "layer" or "batch", before each SSM, or "none".
        activation: "gelu" (tanh form) or "relu", before the gate.
        feedthrough: whether the SSM's input reaches its output directly (D).
        residual: whether layers add to what they read.
        conj_sym: keep one mode of each conjugate pair.
        clip_eigs: keep the real parts of Lambda below -1e-4.
        discretization: "zoh", "dirac" or "async".
        dt_min: smallest initial step, in units of 1 / ms.
        dt_max: largest initial step.
        dropout: probability; one mask is shared over time.
        c_init: initialisation of C.
        step_rescale: factor on every step.

    Raises:
        PumiceError: a value outside its limits, which the message names.
    """

    num_classes: int
    vocab: int | None = None
    in_features: int | None = None
    d_model: int = 32
    d_ssm: int = 32
    block_size: int = 8
    stages: int = 2
    layers_per_stage: int = 2
    stride: int = 8
    pooling: str = "avgpool"
    expansion: int = 1
    head: str = "pool"
    norm: str = "layer"
    activation: str = "gelu"
    feedthrough: bool = True
    residual: bool = True
    conj_sym: bool = True
    clip_eigs: bool = False
    discretization: str = "async"
    dt_min: float = 0.004
    dt_max: float = 0.1
    dropout: float = 0.0
    c_init: str = "lecun_normal"
    step_rescale: float = 1.0

    def __post_init__(self) -> None:
        check_positive(self, *POSITIVE_INTEGERS)
        check_input(self)
        check_positive(self, "vocab" if self.token_input else "in_features")
        check_choices(self, CHOICES)
        check_flags(self, *FLAGS)
        check_numbers(self, "dt_min", "dt_max", "dropout", "step_rescale")
        if self.d_ssm % self.block_size:
            raise PumiceError(f"d_ssm={self.d_ssm} is not a multiple of block_size={self.block_size}; change one")
        if self.conj_sym and self.block_size % 2:
            raise PumiceError(f"conj_sym halves each block, but block_size={self.block_size} is odd; make it even")
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

    @property
    def answers_every(self) -> int | None:
        """Events from one answer to the next; None of a model that gives one for all of a recording."""
        return self.window if self.head == STEPS else None

    @property
    def aggregation(self) -> str:
        """How answers to labelled stretches are made of those to their events, see `models.adlif.blocks`."""
        return "mean"

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **more: Any) -> S5Config:
        """Build the settings from plain data, ``more`` taking precedence.

        The keys ``family`` and ``name`` of a configuration file say which model it is and are passed over.

        Raises:
            PumiceError: an unknown or missing key, or a value outside its limits.
        """
        return cls(**classifier_settings(cls, {**settings, **more}, "S5"))


def every_of(config: type[S5Config], settings: Mapping[str, Any]) -> int | None:
    """`S5Config.answers_every` of the settings of a model whose task is not known.

    Raises:
        PumiceError: as of `S5Config.from_mapping`.
    """
    if settings.get("head") != STEPS:
        return None
    return config.from_mapping(settings, num_classes=1, in_features=1).answers_every
