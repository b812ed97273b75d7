"""The settings of fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from ..errors import PumiceError
from .checks import require_choice, require_keys, require_number

LOSSES = ("mse", "kl", "labels")
OUTPUTS = ("logits", "potentials")
HIDDEN = ("none", "rates", "spikes")

CHOICES: Mapping[str, tuple[Any, ...]] = {
    "loss": LOSSES,
    "output": OUTPUTS,
    "hidden": HIDDEN,
    "dropout": (False, True),
    "augmentation": (False, True),
}
NUMBERS: Mapping[str, tuple[float, float, bool]] = {
    "epochs": (0, 10**6, True),
    "samples": (1, 10**9, True),
    "lr": (1e-9, 100.0, False),
    "freeze_scales_at": (0.0, 1.0, False),
    "temperature": (1e-3, 1e3, False),
    "weight_decay": (0.0, 1e3, False),
    "hidden_weight": (0.0, 1e6, False),
}
EIGHT_BITS_LR = 0.01
BITS_A_DECADE = 4


@dataclass(frozen=True, kw_only=True)
class FamilyTuning:
    """`FineTuning` of one model family: what is not said is filled in."""

    epochs: int = 3
    samples: int | None = None
    lr: float | None = None
    loss: str = "mse"
    temperature: float = 4.0
    output: str = "logits"
    hidden: str = "none"
    hidden_weight: float = 1.0
    freeze_scales_at: float = 0.0
    weight_decay: float = 0.0
    dropout: bool = False
    augmentation: bool = False

    @property
    def taught(self) -> bool:
        """Whether the float model teaches."""
        return self.loss != "labels" or self.hidden != "none"

    def rate(self, bits: int) -> float:
        """The factor on the recipe's learning rates, for a model whose narrowest weights have so many bits.

        A step has to be in proportion to the unit of the weights: 0.01 at 8 bits, ten times as much at 4.
        """
        return self.lr if self.lr is not None else EIGHT_BITS_LR * 10 ** ((8 - min(max(bits, 2), 8)) / BITS_A_DECADE)


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """Quantization-aware fine-tuning; what is not named here is taken from the training recipe.

    Of each setting, None stands for what ``families`` says of the model's family, or else for the default of
    `FamilyTuning`.

    Attributes:
        epochs: passes over the training data; 0 for post-training quantization alone.
        samples: training samples of a pass, always the same, drawn by the seed; None for all.
        lr: factor on the training recipe's learning rates; None in the end for `FamilyTuning.rate`.
        loss: "mse", the squared error of the logits against the float model's own; "kl", the divergence of the classes'
            probabilities from the float model's; "labels", the cross entropy with the labels.
        temperature: of "kl": logits are divided by it.
        output: what "mse" compares: "logits", or the "potentials" of the read-out at every step, of models that have
            them.
        hidden: what else is compared of networks of spiking neurons: "rates", of each hidden neuron over a sequence,
            "spikes", in windows of `signals.WINDOW` steps; or "none".
        hidden_weight: of the error of ``hidden`` relative to that of the output.
        freeze_scales_at: fraction of the steps after which the weights' exponents stay as they are.
        weight_decay: in place of the recipe's.
        dropout: whether the model's dropout acts.
        augmentation: whether training samples are augmented; with "labels" alone.
        families: the same settings by model family.
    """

    NAMES: ClassVar[tuple[str, ...]] = tuple(one.name for one in fields(FamilyTuning))
    epochs: int | None = None
    samples: int | None = None
    lr: float | None = None
    loss: str | None = None
    temperature: float | None = None
    output: str | None = None
    hidden: str | None = None
    hidden_weight: float | None = None
    freeze_scales_at: float | None = None
    weight_decay: float | None = None
    dropout: bool | None = None
    augmentation: bool | None = None
    families: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.families, Mapping):
            raise PumiceError(f"quantize.qat.families={self.families} is no mapping from families to settings")
        own = {name: getattr(self, name) for name in self.NAMES}
        _check("qat", own)
        for family, settings in self.families.items():
            require_keys(settings, self.NAMES, f"qat.families.{family}")
            _check(f"qat.families.{family}", settings)
        for family in ("", *self.families):
            found = self.of(family)
            if found.augmentation and found.taught:
                raise PumiceError(
                    "quantize.qat.augmentation=true: what the float model says of training samples is computed once, "
                    "of samples as they are; leave it out, or set quantize.qat.loss=labels and quantize.qat.hidden=none"
                )

    def of(self, family: str) -> FamilyTuning:
        """The settings for a model family."""
        own = {name: getattr(self, name) for name in self.NAMES}
        given = {name: value for name, value in own.items() if value is not None}
        told = {name: value for name, value in self.families.get(family, {}).items() if value is not None}
        return FamilyTuning(**{**told, **given})


def _check(where: str, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if value is None:
            continue
        if name in CHOICES:
            require_choice(f"{where}.{name}", value, CHOICES[name])
        else:
            require_number(f"{where}.{name}", value, *NUMBERS[name])
