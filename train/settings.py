"""Typed sections of the configuration that training reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..errors import PumiceError

Precision = Literal["32-true", "64-true", "bf16-mixed", "16-mixed"]
PRECISIONS = get_args(Precision)
OPTIMIZERS = ("adamw", "adam")
WANDB = ("offline", "online")
SCHEDULES = ("cosine", "constant", "plateau")
SCOPES = ("layer", "global")
ACTIVITY_SCOPES = ("neuron", "layer")
Section = TypeVar("Section")


@dataclass(frozen=True)
class TrainingSettings:
    """Section ``training``: the recipe.

    Learning rates are one for all parameters, ``lr``, or follow Schoene et al. 2024: the state-space parameters B and
    Lambda learn with ``ssm_base_lr * batch_size * accumulate``, all others with ``lr_factor`` times that.

    Attributes:
        epochs: passes over the training data.
        warmup_epochs: of linear rise of the learning rate; a fraction is allowed.
        batch_size: samples of one forward pass.
        accumulate: batches of one optimizer step.
        ssm_base_lr: see above, per sample; None where ``lr`` is given.
        lr_factor: see above; None where ``lr`` is given.
        lr: see above; None where the other two are given.
        ssm_lr: with ``lr``, of the state-space parameters (``optim.SSM_NAMES``); None: as all others.
        optimizer: one of ``OPTIMIZERS``; with ``adam``, weight decay is part of the gradient.
        schedule: of the learning rate after the warm-up: ``cosine`` to 0, ``constant``, or ``plateau``, by which it is
            multiplied with ``plateau_factor`` after ``plateau_patience`` epochs without a lower validation loss.
        plateau_factor: see above.
        plateau_patience: see above.
        ssm_weight_decay: of the state-space parameters, where they have a learning rate of their own.
        weight_decay: of all others.
        gradient_clip: largest norm of the gradient, or None.
        ema_decay: of an exponential moving average of the weights, validated and kept in their place, or None.
        precision: one of ``PRECISIONS``.
        checkpoint_every_steps: optimizer steps between checkpoints; one is written after each epoch anyway.
        eval_batch_size: samples of one batch in validation and evaluation.
        bucket_batches: batches among which samples of similar length are brought together, or None.
        label_smoothing: share of the target that all classes get alike, in training alone.
        norm_samples: training samples by which the statistics of batch norms are estimated anew before each
            validation, and kept with the weights, see ``norms``; None: the running ones, which lag at a high rate.
        sparsity: share of zeros that weight matrices end with, see ``pruning``; None: they are not pruned. Fine-tuning
            keeps these zeros.
        sparsity_from, sparsity_until: shares of all optimizer steps between which weights become zero; only weights of
            later epochs are kept as the best.
        sparsity_scope: ``layer``, each matrix has that share, or ``global``, all of them together.
        activity: weight of a penalty on spikes, see `activity.ActivityPenalty`; None: there is none.
        activity_upper: spikes a neuron and step that cost nothing; more do.
        activity_lower: fewer cost as well.
        activity_scope: whose mean rate has these bounds: each ``neuron``, or the ``layer``.
    """

    epochs: int
    warmup_epochs: float
    batch_size: int
    weight_decay: float
    ssm_base_lr: float | None = None
    lr_factor: float | None = None
    lr: float | None = None
    ssm_lr: float | None = None
    optimizer: str = "adamw"
    schedule: str = "cosine"
    plateau_factor: float = 0.5
    plateau_patience: int = 15
    accumulate: int = 1
    ssm_weight_decay: float = 0.0
    gradient_clip: float | None = None
    ema_decay: float | None = None
    precision: str = "32-true"
    checkpoint_every_steps: int = 50
    eval_batch_size: int = 32
    bucket_batches: int | None = None
    label_smoothing: float = 0.0
    norm_samples: int | None = None
    sparsity: float | None = None
    sparsity_from: float = 0.1
    sparsity_until: float = 0.7
    sparsity_scope: str = "layer"
    activity: float | None = None
    activity_upper: float = 0.05
    activity_lower: float = 0.0
    activity_scope: str = "neuron"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "checkpoint_every_steps", "eval_batch_size"):
            _require(getattr(self, name) >= 1, f"training.{name}={getattr(self, name)} has to be at least 1")
        for name in ("ssm_base_lr", "lr_factor", "lr"):
            value, needed = getattr(self, name), (name == "lr") == (self.lr is not None)
            _require(
                (value is not None) == needed,
                f"training.{name}={value}: give training.lr alone, or training.ssm_base_lr and training.lr_factor",
            )
            _require(value is None or value > 0, f"training.{name}={value} has to be above 0")
        _require(
            self.ssm_lr is None or (self.lr is not None and self.ssm_lr > 0),
            f"training.ssm_lr={self.ssm_lr} has to be above 0, and goes with training.lr; else leave it out",
        )
        _require(
            self.norm_samples is None or self.norm_samples >= 2,
            f"training.norm_samples={self.norm_samples} has to be at least 2, or null",
        )
        share, first, last = self.sparsity, self.sparsity_from, self.sparsity_until
        _require(share is None or 0 < share < 1, f"training.sparsity={share} has to lie between 0 and 1, or be null")
        _require(
            0 <= first <= last <= 1,
            f"training.sparsity_from={first} and training.sparsity_until={last} have to be in order, between 0 and 1",
        )
        weight, lower, upper = self.activity, self.activity_lower, self.activity_upper
        _require(weight is None or weight > 0, f"training.activity={weight} has to be above 0, or null")
        _require(
            0 <= lower <= upper <= 1,
            f"training.activity_lower={lower} and training.activity_upper={upper} have to be in order, between 0 and 1",
        )
        choices: tuple[tuple[str, tuple[str, ...]], ...] = (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("sparsity_scope", SCOPES),
            ("activity_scope", ACTIVITY_SCOPES),
        )
        for name, known in choices:
            value = getattr(self, name)
            _require(value in known, f"training.{name}={value} is unknown; use one of: {', '.join(known)}")
        _require(
            self.schedule != "plateau" or self.warmup_epochs == 0,
            "training.schedule=plateau has no warm-up; set training.warmup_epochs=0",
        )
        factor, patience = self.plateau_factor, self.plateau_patience
        _require(0 < factor < 1, f"training.plateau_factor={factor} has to lie between 0 and 1")
        _require(patience >= 1, f"training.plateau_patience={patience} has to be at least 1")
        for name in ("weight_decay", "ssm_weight_decay"):
            _require(getattr(self, name) >= 0, f"training.{name}={getattr(self, name)} has to be at least 0")
        _require(
            0 <= self.warmup_epochs <= self.epochs,
            f"training.warmup_epochs={self.warmup_epochs} has to lie between 0 and training.epochs={self.epochs}",
        )
        _require(
            0 <= self.label_smoothing < 1,
            f"training.label_smoothing={self.label_smoothing} has to be at least 0 and below 1",
        )
        clip, ema = self.gradient_clip, self.ema_decay
        _require(clip is None or clip > 0, f"training.gradient_clip={clip} has to be above 0, or null")
        _require(ema is None or 0 < ema < 1, f"training.ema_decay={ema} has to lie between 0 and 1, or be null")
        _require(
            self.precision in PRECISIONS,
            f"training.precision={self.precision} is unknown; use one of: {', '.join(PRECISIONS)}",
        )

    def slowed(self, factor: float, **changes: Any) -> TrainingSettings:
        """The same recipe with learning rates times ``factor``, and other ``changes``."""
        rates = {name: getattr(self, name) for name in ("ssm_base_lr", "lr", "ssm_lr")}
        changes |= {name: None if rate is None else rate * factor for name, rate in rates.items()}
        return replace(self, **changes)


@dataclass(frozen=True)
class SystemSettings:
    """Section ``system``: where to compute.

    Attributes:
        accelerator: ``cpu``, ``gpu``, or ``auto``.
        threads: of torch and of the compiled scans; None: as many as there are cores.
        workers: processes that prepare training batches; 0: the training process itself.
        deterministic: refuse operations whose result can vary from run to run.
        devices: processes of training on each node, a GPU each, or a share of the cores.
        nodes: that take part in training.
        jobs: processes that try settings at once (`pumice sensitivity`); None: as many as there are cores.
    """

    accelerator: str = "auto"
    threads: int | None = None
    workers: int = 0
    deterministic: bool = True
    devices: int = 1
    nodes: int = 1
    jobs: int | None = None

    def __post_init__(self) -> None:
        accelerators = ("cpu", "gpu", "auto")
        _require(
            self.accelerator in accelerators,
            f"system.accelerator={self.accelerator} is unknown; use one of: {', '.join(accelerators)}",
        )
        _require(self.threads is None or self.threads >= 1, f"system.threads={self.threads} has to be at least 1")
        _require(self.workers >= 0, f"system.workers={self.workers} has to be at least 0")
        _require(self.devices >= 1, f"system.devices={self.devices} has to be at least 1")
        _require(self.nodes >= 1, f"system.nodes={self.nodes} has to be at least 1")
        _require(self.jobs is None or self.jobs >= 1, f"system.jobs={self.jobs} has to be at least 1")

    @property
    def processes(self) -> int:
        """That take part in training."""
        return self.devices * self.nodes


@dataclass(frozen=True)
class LoggingSettings:
    """Section ``logging``: what training tells while it runs.

    Attributes:
        csv: write logs/csv/.
        tensorboard: write logs/tensorboard/.
        wandb: log to Weights & Biases, ``offline``, below logs/wandb/, or ``online``; None: not at all.
        every_steps: optimizer steps between two logged training losses.
        progress: show a progress bar.
    """

    csv: bool = True
    tensorboard: bool = True
    wandb: str | None = None
    every_steps: int = 10
    progress: bool = True

    def __post_init__(self) -> None:
        _require(
            self.wandb in (None, *WANDB),
            f"logging.wandb={self.wandb} is unknown; use one of: {', '.join(WANDB)}, or null",
        )
        _require(self.every_steps >= 1, f"logging.every_steps={self.every_steps} has to be at least 1")


def read_section(kind: type[Section], config: Mapping[str, Any], name: str) -> Section:
    """Section ``name`` of ``config`` as the dataclass ``kind``, types checked.

    Raises:
        PumiceError: an unknown or missing key, a value of a wrong type or out of range.
    """
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), config[name]))  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        key = f"{name}.{error.full_key}" if error.full_key else name
        raise PumiceError(f"{key}: {str(error.msg or error).splitlines()[0]}") from error


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise PumiceError(sentence)


def check_seed(seed: Any) -> None:
    """Refuse a seed that is not a whole number of at least 0."""
    _require(type(seed) is int and seed >= 0, f"seed={seed} has to be a whole number of at least 0")
