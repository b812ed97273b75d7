"""The settings of a SpikingSSM classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...errors import PumiceError
from ..settings import (
    check_choices,
    check_flags,
    check_input,
    check_numbers,
    check_positive,
    check_steps,
    known_settings,
)
from .convolution import METHODS
from .neuron import check_neuron
from .s4d import KERNELS

CHOICES = {
    "kernel": KERNELS,
    "norm": ("layer", "batch"),
    "norm_placement": ("pre", "post", "reference"),
    "head": ("mean", "retrieval"),
    "convolution": METHODS,
}


@dataclass(frozen=True, kw_only=True)
class SpikingSSMConfig:
    """Settings of `SpikingSSM` (Shen et al. 2024, arXiv 2408.14909).

    Attributes:
        num_classes: outputs C.
        in_features: width of the input vectors; exactly one of in_features and vocab is given.
        vocab: number of tokens, for token input.
        d_model: channels H.
        d_state: N of each channel, even: N / 2 complex modes.
        layers: blocks.
        kernel: "s4d-lin" (B = 1) or "trainable-b".
        dt_min: smallest initial dt.
        dt_max: largest initial dt.
        bidirectional: with states that run backwards as well; such a model does not stream and cannot be lowered.
        tau: what is left of a neuron's potential after a step.
        neuron: how neurons are trained, "sdn", "bptt" or "sltt", see `neuron.SpikingNeuron`.
        inference: how they are evaluated, "exact" or "sdn".
        sdn: the file of a reduced surrogate network for this tau; None for the one that comes with Pumice.
        threshold: "channel" or "shared".
        learn_threshold: train thresholds; else they are 1.
        norm: "batch" or "layer".
        norm_placement: "pre", "post", or "reference" (none, as in the published code), see `layer.Block`.
        dropout: probability; one mask is shared over time.
        head: "mean" over time of what is decoded, or "retrieval": two sequences are compared, see `network.SpikingSSM`.
        convolution: how whole sequences are computed, see `convolution.convolve`.

    Raises:
        PumiceError: a value outside its limits, which the message names.
    """

    aggregation: ClassVar[str] = "mean"
    """Of the steps that are decoded, as of any model of sequences."""

    num_classes: int
    in_features: int | None = None
    vocab: int | None = None
    d_model: int = 64
    d_state: int = 16
    layers: int = 2
    kernel: str = "s4d-lin"
    dt_min: float = 0.001
    dt_max: float = 0.1
    bidirectional: bool = False
    tau: float = 0.125
    neuron: str = "sdn"
    inference: str = "exact"
    sdn: str | None = None
    threshold: str = "channel"
    learn_threshold: bool = True
    norm: str = "batch"
    norm_placement: str = "pre"
    dropout: float = 0.0
    head: str = "mean"
    convolution: str = "chunked"

    def __post_init__(self) -> None:
        check_input(self)
        source = "in_features" if self.vocab is None else "vocab"
        check_positive(self, "num_classes", source, "d_model", "d_state", "layers")
        if self.d_state % 2:
            raise PumiceError(f"d_state={self.d_state} is odd, but modes come in conjugate pairs; make it even")
        check_choices(self, CHOICES)
        check_flags(self, "bidirectional")
        check_neuron(self)
        check_numbers(self, "dt_min", "dt_max", "dropout")
        check_steps(self)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **more: Any) -> SpikingSSMConfig:
        """Build the settings from plain data, ``more`` taking precedence.

        The keys ``family`` and ``name`` of a configuration file say which model it is and are passed over.

        Raises:
            PumiceError: an unknown key, or a value outside its limits.
        """
        return cls(**known_settings(cls, {**settings, **more}, "SpikingSSM"))
