"""The neuron that surrogate dynamic networks stand for, step by step."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def lif_membrane(x: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """The exact leaky integrate-and-fire neuron of SpikingSSM (Shen et al. 2024, arXiv 2408.14909).

    ``mem_t = tau u_{t-1}``, ``s_t = [mem_t + x_t >= 1]`` (not strict), ``u_t = (1 - s_t) (mem_t + x_t)``, from u = 0.
    Every product and sum is rounded by itself, on every device.

    Args:
        x: drive over the threshold (..., L), real numbers.
        tau: what remains of the potential after one step.

    Returns:
        mem (..., L), the decayed potential before the step's drive, and spikes (..., L), 0 or 1; both of x's dtype.
    """
    steps = x[None].flatten(0, -2).T.contiguous()  # (L, N): a step is one run of memory
    mem, spikes = torch.empty_like(steps), torch.empty_like(steps)
    u = torch.zeros_like(steps[0]) if len(steps) else steps.new_zeros(0)
    for drive, decayed, fired in zip(steps, mem, spikes, strict=True):
        torch.mul(u, tau, out=decayed)
        reached = decayed + drive
        fired.copy_(reached >= 1)
        u = torch.where(reached >= 1, 0.0, reached)
    return mem.T.contiguous().reshape(x.shape), spikes.T.contiguous().reshape(x.shape)
