"""How far two models are apart."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def relative_error(found: Tensor, expected: Tensor, power: float) -> Tensor:
    """The mean squared error, any shape, relative to a mean power of what is expected: the noise a unit of signal."""
    return (found - expected).square().mean() / power


def apart(found: Tensor, expected: Tensor, values: bool) -> Tensor:
    """How far logits (M, C) are from those expected: their `divergence`; of values the `relative_error`."""
    if values:
        return relative_error(found, expected, float(expected.double().square().mean()) or 1.0)
    return divergence(found, expected)


def divergence(found: Tensor, expected: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean Kullback-Leibler divergence, in nats, of the classes' probabilities ``found`` from those expected.

    Both are logits (M, C), which are divided by the temperature; the result is multiplied by its square, so that
    gradients keep their size (Hinton et al. 2015, arXiv 1503.02531).
    """
    ours, theirs = (log_softmax(logits / temperature, dim=1) for logits in (found, expected))
    return kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2
