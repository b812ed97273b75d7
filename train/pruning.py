"""Unstructured magnitude pruning while a model learns: which weights are zero, and when they become so."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from ..errors import PumiceError
from .settings import TrainingSettings

STATE_SPACE = frozenset({"B", "C"})
"""Names of matrices whose entries may be complex, (..., 2)."""


def prunable(model: nn.Module) -> dict[str, Parameter]:
    """The weight matrices of a model, by name: of linear layers, of neurons, and B and C of state spaces.

    Not the embedding, whose rows are read, not multiplied, nor what is kept a channel: decays, steps, thresholds,
    norms, biases, D, and B and C of S4D.
    """
    embeddings = {id(module.weight) for module in model.modules() if hasattr(module, "num_embeddings")}
    per_channel = {
        id(parameter)
        for module in model.modules()
        if hasattr(module, "log_A_real")  # S4D: a state space a channel
        for parameter in module.parameters(recurse=False)
    }
    left = embeddings | per_channel
    return {
        name: weight for name, weight in model.named_parameters() if id(weight) not in left and _matrix(name, weight)
    }


def _matrix(name: str, weight: Tensor) -> bool:
    complex_pairs = name.rsplit(".", 1)[-1] in STATE_SPACE and weight.dim() == 3
    return complex_pairs or (weight.dim() == 2 and min(weight.shape) > 1)


def entries(weight: Tensor) -> Tensor:
    """What is pruned as one, by its magnitude: each weight, or each complex number (..., 2) of it."""
    return torch.linalg.vector_norm(weight, dim=-1) if weight.dim() == 3 else weight.abs()


def zero_shares(model: nn.Module) -> dict[str, float]:
    """The share of zeros in each weight matrix."""
    with torch.no_grad():
        return {name: float((entries(weight) == 0).double().mean()) for name, weight in prunable(model).items()}


class Pruning:
    """Sets the smallest weights to zero, more and more of them, and keeps them there.

    The share of zeros rises from 0 as s (1 - (1 - t)^3), t from 0 to 1 between two steps (Zhu and Gupta 2017, arXiv
    1710.01878, equation 1). What is zero stays zero, so that no state is kept beside the weights: a training goes on
    from its checkpoint with the same bits.

    Args:
        model: whose matrices (`prunable`) are pruned.
        settings: ``sparsity``, s, and its schedule; by ``sparsity_scope`` it is that of every matrix, or weights go
            wherever they are smallest relative to the root mean square of their matrix.
        steps: of the optimizer, in all.

    Raises:
        PumiceError: the model has no such matrix.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings, steps: int) -> None:
        self.weights = prunable(model)
        if not self.weights:
            raise PumiceError(f"training.sparsity={settings.sparsity}: the model has no weight matrix; leave it out")
        assert settings.sparsity is not None
        self.sparsity, self.scope = settings.sparsity, settings.sparsity_scope
        self.first, self.last = settings.sparsity_from * steps, settings.sparsity_until * steps
        self._alive: dict[str, Tensor] | None = None

    def share(self, step: int) -> float:
        """Of zeros after so many optimizer steps."""
        if step < self.first:
            return 0.0
        passed = min(1.0, (step - self.first) / (self.last - self.first)) if self.last > self.first else 1.0
        return self.sparsity * (1 - (1 - passed) ** 3)

    def ended(self, step: int) -> bool:
        """Whether no further weights become zero."""
        return step >= self.last

    def before(self, step: int) -> None:
        """Remember what is zero, before optimizer step ``step``, counted from 1."""
        begun = step > self.first
        self._alive = {name: entries(weight.detach()) != 0 for name, weight in self.weights.items()} if begun else None

    @torch.no_grad()
    def after(self, step: int) -> None:
        """Keep that zero, and set the next smallest weights to zero."""
        if self._alive is not None:
            for name, weight in self.weights.items():
                _keep(weight, self._alive[name])
        share = self.share(step)
        if share == 0:
            return
        sizes = {name: entries(weight) for name, weight in self.weights.items()}
        if self.scope == "layer":
            kept = {name: _largest(size, share) for name, size in sizes.items()}
        else:
            relative = [(size / size.square().mean().sqrt().clamp(min=1e-30)).reshape(-1) for size in sizes.values()]
            flat = _largest(torch.cat(relative), share).split([len(size) for size in relative])
            kept = {name: part.reshape(sizes[name].shape) for name, part in zip(sizes, flat, strict=True)}
        for name, weight in self.weights.items():
            _keep(weight, kept[name])

    @torch.no_grad()
    def mirror(self, weights: Mapping[str, Parameter]) -> None:
        """Set to zero in the same weights of another model, the moving average, what is zero here."""
        if self._alive is not None:
            for name, weight in weights.items():
                _keep(weight, entries(self.weights[name]) != 0)


def _largest(sizes: Tensor, share: float) -> Tensor:
    """Where the largest of ``sizes`` lie: all but the ``share`` of the smallest. Of equal ones the first go."""
    count = round(share * sizes.numel())
    order = sizes.reshape(-1).argsort(stable=True)
    kept = torch.ones(sizes.numel(), dtype=torch.bool, device=sizes.device)
    kept[order[:count]] = False
    return kept.reshape(sizes.shape)


def _keep(weight: Tensor, alive: Tensor) -> None:
    weight.masked_fill_(~(alive.unsqueeze(-1) if weight.dim() == 3 else alive), 0.0)
