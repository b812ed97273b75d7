"""The settings of a spiking S5 classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PumiceError
from ..s5.config import S5Config
from ..settings import classifier_settings
from ..spikingssm.neuron import check_neuron


@dataclass(frozen=True, kw_only=True)
class SpikingS5Config(S5Config):
    """Settings of `SpikingS5`: those of `S5Config`, and of its neurons.

    Attributes:
        tau: what is left of a neuron's potential after an output of its state space, however long that took.
        neuron: how neurons are trained, "sdn", "bptt" or "sltt", see `spikingssm.neuron.SpikingNeuron`.
        inference: how they are evaluated, "exact" or "sdn".
        sdn: the file of a reduced surrogate network for this tau; None for the one that comes with Pumice.
        threshold: "channel" or "shared".
        learn_threshold: train thresholds; else they are 1.

    Raises:
        PumiceError: a value outside its limits, which the message names.
    """

    tau: float = 0.125
    neuron: str = "sdn"
    inference: str = "exact"
    sdn: str | None = None
    threshold: str = "channel"
    learn_threshold: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation != "gelu":
            raise PumiceError(f"activation={self.activation} is for S5; spiking S5 has neurons there, leave it out")
        check_neuron(self)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any], **more: Any) -> SpikingS5Config:
        """See `S5Config.from_mapping`."""
        return cls(**classifier_settings(cls, {**settings, **more}, "spiking S5"))
