"""The recurrence in chunks, with torch operations alone: for any device and any dtype."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad


def scan_chunked(decay: Tensor, drive: Tensor, initial: Tensor) -> Tensor:
    """Run ``x_k = decay_k * x_{k-1} + drive_k`` in about 2 sqrt(L) vectorised steps.

    The sequence is cut into sqrt(L) chunks. A first loop runs over the events of a chunk, for all chunks at once and
    from a zero state; a second loop carries the state from chunk to chunk; the carried state then decays into every
    event of its chunk. Only products of decays occur and no quotients, so nothing overflows where |decay| <= 1.

    Args:
        decay: (B, L, P), complex or real.
        drive: (B, L, P), of the same dtype.
        initial: (B, P), the state before the first event.

    Returns:
        The states x_0 .. x_{L-1}, (B, L, P); gradients are autograd's own.
    """
    batch, length, width = drive.shape
    if length == 0:
        return drive
    size = math.isqrt(length - 1) + 1
    chunks = -(-length // size)
    padding = (0, 0, 0, chunks * size - length)
    decay = pad(decay, padding).reshape(batch, chunks, size, width)
    drive = pad(drive, padding).reshape(batch, chunks, size, width)

    local = [drive[:, :, 0]]
    product = [decay[:, :, 0]]
    for decay_k, drive_k in zip(decay.unbind(2)[1:], drive.unbind(2)[1:], strict=True):
        local.append(decay_k * local[-1] + drive_k)
        product.append(decay_k * product[-1])

    carried = [initial]
    for chunk_decay, chunk_state in zip(product[-1].unbind(1)[:-1], local[-1].unbind(1)[:-1], strict=True):
        carried.append(chunk_decay * carried[-1] + chunk_state)
    start = torch.stack(carried, dim=1).unsqueeze(2)

    states = torch.stack(local, dim=2) + torch.stack(product, dim=2) * start
    return states.reshape(batch, chunks * size, width)[:, :length]
