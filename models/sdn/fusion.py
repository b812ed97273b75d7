"""Model reduction: a trained surrogate dynamic network without encoder and norms, the same function."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...errors import PumiceError
from .network import SurrogateDynamicNetwork
from .trainable import TrainableSDN

CHECKED = (64, 1024)
"""Sequences and steps of normal noise on which a reduced network is compared with the trained one."""
TOLERANCE_64, TOLERANCE_32 = 1e-9, 1e-4
"""Of the largest difference, over the largest value or 1."""


@dataclass(frozen=True)
class FusionCheck:
    """The largest differences between a trained network in float64 and its reduced form.

    Attributes:
        float64: of the reduced network before rounding, in float64.
        float32: of the reduced network as it is kept, rounded to float32 and run in float32.
    """

    float64: float
    float32: float


def fuse(trained: TrainableSDN, tau: float, sweeps: int = 0) -> tuple[SurrogateDynamicNetwork, FusionCheck]:
    """The reduced form of ``trained``: encoder and batch norms are folded into the convolutions, in float64.

    Batch norms stand still for that, with their running statistics.

    Args:
        trained: stays as it is.
        tau: of the neuron that it was trained on.
        sweeps: of the reduced network.

    Raises:
        PumiceError: the two differ on normal noise, so that their weights cannot be what they should.
    """
    exact = copy.deepcopy(trained).double().eval()
    tensors: dict[str, Tensor] = {}
    for i, (spatial, feature) in enumerate(zip(exact.spatial, exact.feature, strict=True)):
        kernels = spatial.weight * exact.encoder[:, None] if i == 0 else spatial.weight
        tensors[f"spatial.{i}.weight"], tensors[f"spatial.{i}.bias"] = _folded(kernels, spatial.norm)
        tensors[f"feature.{i}.weight"], tensors[f"feature.{i}.bias"] = _folded(feature.weight, feature.norm)
    tensors["decoder.weight"], tensors["decoder.bias"] = exact.decoder.weight[0], exact.decoder.bias[0]
    reduced = SurrogateDynamicNetwork(tau, {name: tensor.float() for name, tensor in tensors.items()}, sweeps)
    return reduced, _checked(exact, SurrogateDynamicNetwork(tau, tensors), reduced)


def _folded(weight: Tensor, norm: nn.BatchNorm1d) -> tuple[Tensor, Tensor]:
    """Weight (d, n) and bias (d,) of a product with the norm after it."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return weight * gain[:, None], norm.bias - norm.running_mean * gain


@torch.no_grad()
def _checked(exact: TrainableSDN, unrounded: SurrogateDynamicNetwork, reduced: SurrogateDynamicNetwork) -> FusionCheck:
    x = torch.randn(CHECKED, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = exact(x)
    largest = max(1.0, float(expected.abs().max()))
    plain = SurrogateDynamicNetwork(reduced.tau, reduced.tensors())
    found = FusionCheck(
        float64=float((unrounded(x) - expected).abs().max()), float32=float((plain(x.float()) - expected).abs().max())
    )
    if not (found.float64 <= TOLERANCE_64 * largest and found.float32 <= TOLERANCE_32 * largest):
        raise PumiceError(
            f"the reduced surrogate network differs from the trained one by {found.float64:.2g} in float64 and "
            f"{found.float32:.2g} in float32, allowed are {TOLERANCE_64 * largest:.2g} and "
            f"{TOLERANCE_32 * largest:.2g}; train it anew, perhaps with a lower learning rate"
        )
    return found
