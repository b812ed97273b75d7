"""Optimizers and learning-rate schedules of the recipes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from torch.nn import Parameter
from torch.optim import Adam, AdamW, Optimizer

from .settings import TrainingSettings

SSM_NAMES = frozenset({"B", "Lambda_re", "Lambda_im", "log_A_real", "A_imag", "log_dt", "Lambda_raw"})
"""Names of the state-space parameters of S5, of S4D, and of S5 with real decays."""


def build_optimizer(named_parameters: Iterable[tuple[str, Parameter]], settings: TrainingSettings) -> Optimizer:
    """AdamW or Adam (0.9, 0.999), with one learning rate, or one of their own for state-space parameters.

    The latter has two groups: ``ssm``, those of ``SSM_NAMES``, and ``main`` = all else. Their rates are given, or
    those of the event-SSM recipe (Schoene et al. 2024), with ssm_lr = ssm_base_lr * batch_size * accumulate and
    main lr = ssm_lr * lr_factor.
    """
    kind = {"adamw": AdamW, "adam": Adam}[settings.optimizer]
    trained = [(name, parameter) for name, parameter in named_parameters if parameter.requires_grad]
    if settings.lr is not None and settings.ssm_lr is None:
        parameters = [parameter for _, parameter in trained]
        return kind(parameters, lr=settings.lr, betas=(0.9, 0.999), weight_decay=settings.weight_decay)
    ssm = [parameter for name, parameter in trained if name.rsplit(".", 1)[-1] in SSM_NAMES]
    main = [parameter for name, parameter in trained if name.rsplit(".", 1)[-1] not in SSM_NAMES]
    ssm_lr, main_lr = _rates(settings)
    groups = [
        {"name": "ssm", "params": ssm, "lr": ssm_lr, "weight_decay": settings.ssm_weight_decay},
        {"name": "main", "params": main, "lr": main_lr, "weight_decay": settings.weight_decay},
    ]
    return kind([group for group in groups if group["params"]], betas=(0.9, 0.999))


def _rates(settings: TrainingSettings) -> tuple[float, float]:
    """Of the state-space parameters and of all others."""
    if settings.lr is not None and settings.ssm_lr is not None:
        return settings.ssm_lr, settings.lr
    assert settings.ssm_base_lr is not None  # the settings demand them where there is no lr
    assert settings.lr_factor is not None
    ssm_lr = settings.ssm_base_lr * settings.batch_size * settings.accumulate
    return ssm_lr, ssm_lr * settings.lr_factor


def warmup_cosine(warmup_steps: int, total_steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each optimizer step, counted from 0.

    It rises linearly to 1 over ``warmup_steps`` and falls to 0, as a half cosine, at ``total_steps``.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor


def warmup_constant(warmup_steps: int) -> Callable[[int], float]:
    """Factor on the learning rate at each optimizer step, counted from 0: a linear rise, then 1."""
    return lambda step: min(1.0, (step + 1) / max(1, warmup_steps))
