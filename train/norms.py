"""The statistics of batch norms, estimated anew.

While a model trains, its batch norms keep running statistics of activations that its weights no longer give: at a high
learning rate they lag behind by points of accuracy. They are what evaluation and quantization use, so they are
estimated from the weights as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..models.s5.norm import MaskedBatchNorm
from .data.batch import Batch


@torch.no_grad()
def estimate_norms(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the statistics of all batch norms of ``model`` to their mean over ``batches``, without dropout.

    Large batches are best: the variance between the means of batches is not seen. Modes of modules stay as they were.
    """
    norms = [module for module in model.modules() if isinstance(module, MaskedBatchNorm)]
    if not norms:
        return
    training = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    for norm in norms:
        norm.train()
    try:
        for number, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = 1 / (number + 1)
            batch.apply(model)
    finally:
        for norm in norms:
            norm.momentum = momenta[norm]
        for module, mode in training.items():
            module.training = mode
