"""What the writers of float networks that run step by step share: constants, feeding them, and comparing them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from ..graph import Graph


def dtype_of(network: nn.Module) -> np.dtype:
    """The element type of a network's parameters."""
    return next(network.parameters()).detach().cpu().numpy().dtype


def constant(graph: Graph, tensor: Tensor) -> str:
    """A constant of the tensor's own type."""
    array = tensor.detach().cpu().numpy()
    return graph.constant(array, array.dtype)


def affine(graph: Graph, tensor: str, weight: Tensor, bias: Tensor) -> str:
    """``W x + b``. Shapes: tensor (B, in), weight (out, in), bias (out,)."""
    return graph.op("Add", graph.op("MatMul", tensor, constant(graph, weight.T)), constant(graph, bias))


def float_feed(inputs: Tensor, lengths: Tensor) -> dict[str, np.ndarray]:
    """Inputs of the float sequence model. Shapes: (B, T, F), or (B, T) tokens, and (B,), as ``BlockBatch`` has them."""
    name = "token" if inputs.dim() == 2 else "value"
    return {name: inputs.numpy(), "valid": np.arange(inputs.shape[1]) < lengths.numpy()[:, None]}


def agreement(found: np.ndarray, expected: np.ndarray, lengths: np.ndarray, tolerance: float = 1e-4) -> dict[str, Any]:
    """How far potentials (B, T, C) of two float implementations agree, over the steps of each sample.

    Two orders of summation round differently, so that a potential just at its threshold spikes in one and not in the
    other; from there on a recurrent network goes another way. A sample parts at its first step with a difference
    above ``tolerance``; the largest difference is that of the steps before.
    """
    steps = np.arange(found.shape[1]) < lengths[:, None]
    difference = np.where(steps, np.abs(found - expected).max(axis=2), 0)
    parted = (difference > tolerance).any(axis=1)
    together = np.where(parted, (difference > tolerance).argmax(axis=1), lengths)
    before = np.arange(found.shape[1]) < together[:, None]
    return {
        "samples": len(found),
        "steps": int(steps.sum()),
        "largest_difference": float(np.where(before, difference, 0).max(initial=0)),
        "parted_samples": int(parted.sum()),
        "steps_together": int(together.sum()),
        "same_class_steps": int((steps & (found.argmax(2) == expected.argmax(2))).sum()),
    }
