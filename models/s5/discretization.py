"""From continuous modes to one decay per event (Schoene et al. 2024, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor


def discretize(
    Lambda: Tensor, log_step: Tensor, dt: Tensor, discretization: str, step_rescale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Decay and input factor of every event.

    With step = step_rescale * exp(log_step):

        decay_k = exp(Lambda step dt_k)
        gamma_k = (decay_k - 1) / Lambda            zoh: events without a time difference contribute nothing
        gamma   = 1                                 dirac
        gamma   = (exp(Lambda step) - 1) / Lambda   async: independent of dt

    Args:
        Lambda: (P,) complex, the continuous modes.
        log_step: (P, 1) or (P,).
        dt: (...) time differences in ms.
        discretization: "zoh", "dirac" or "async".
        step_rescale: factor on every step.

    Returns:
        decay (..., P) complex, and gamma, complex and broadcastable to it: (..., P) for zoh, else (P,).
    """
    rate = mode_rates(Lambda, log_step, step_rescale)
    decay = torch.exp(rate * dt.unsqueeze(-1))
    if discretization == "zoh":
        return decay, (decay - 1) / Lambda
    return decay, constant_gamma(Lambda, rate, discretization)


def mode_rates(Lambda: Tensor, log_step: Tensor, step_rescale: float = 1.0) -> Tensor:
    """Lambda * step, (P,) complex, in 1 / ms."""
    return Lambda * (step_rescale * torch.exp(log_step.reshape(-1)))


def constant_gamma(Lambda: Tensor, rate: Tensor, discretization: str) -> Tensor:
    """The factor on B that does not depend on the event, (P,) complex.

    For zoh this is 1 / Lambda: what is left of (decay - 1) / Lambda once the recurrence is written as
    ``x_k = x_{k-1} + (decay_k - 1)(x_{k-1} + B u_k / Lambda)``.
    """
    if discretization == "dirac":
        return torch.ones_like(Lambda)
    if discretization == "async":
        return (torch.exp(rate) - 1) / Lambda
    return 1 / Lambda
