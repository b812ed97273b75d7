"""The counts of a clocked network by the definitions of NeuroBench 2.3, for comparison with other networks."""

from __future__ import annotations

from ...program.nodes import REGISTRY
from .records import Counts


def neurobench(counts: Counts) -> dict[str, float] | None:
    """What NeuroBench's metrics give for the network as linear layers and neurons, step by step; means a sample.

    ``Effective_MACs``, ``Effective_ACs`` and ``Dense`` (Yik et al. 2025) of products with W, V and W_o: a step whose
    inputs are all -1, 0 or 1 accumulates. ``ActivationSparsity``: the share of zeros among the outputs of all neurons.
    Biases, constants, updates and comparisons of the neurons lie outside. None for networks without a clock or
    with layers that keep no state, and for float counts, whose zeros are not known.
    """
    layers = [node for node in counts if node.sum("mac", "dense")]
    neurons = [node for node in counts if node.spiking]
    known = all(REGISTRY[node.type].keeps_state for node in layers) and all(node.zero_outputs >= 0 for node in neurons)
    if not (counts.clocked and known):
        return None
    samples, outputs = max(counts.samples, 1), sum(node.outputs for node in neurons)
    dense, effective, accumulate = (
        sum(node.sum("mac", field) for node in layers) for field in ("dense", "effective", "accumulate")
    )
    return {
        "Effective_MACs": (effective - accumulate) / samples,
        "Effective_ACs": accumulate / samples,
        "Dense": dense / samples,
        "ActivationSparsity": sum(node.zero_outputs for node in neurons) / outputs if outputs else 0.0,
    }
