"""The output of S4D over a whole sequence, channel by channel: three ways to the same values.

Tensors are (H, B, L), channels first: then products over time, over channels and over modes are all plain matrix
products, and nothing is transposed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from ...errors import PumiceError
from ..scan.diagonal import diagonal_scan
from .s4d import Modes

METHODS = ("chunked", "fft", "recurrent")


def convolve(modes: Modes, u: Tensor, method: str = "chunked") -> Tensor:
    """y of `s4d.Modes` from a zero state; gradients go to the modes and to u.

    Args:
        modes: the state spaces of H channels.
        u: (H, B, L).
        method: "chunked" (matrix products, the fastest on the CPU), "fft", or "recurrent" (step by step, all states
            in memory).

    Returns:
        (H, B, L).

    Raises:
        PumiceError: an unknown method.
    """
    if method not in METHODS:
        raise PumiceError(f"the convolution '{method}' is unknown; choose one of {', '.join(METHODS)}")
    if u.shape[2] == 0:
        return u
    return {"chunked": convolve_chunked, "fft": convolve_fft, "recurrent": convolve_recurrent}[method](modes, u)


def impulse_response(modes: Modes, length: int) -> Tensor:
    """y of u = 1, 0, 0, ..: the convolution's kernel, (H, L)."""
    kernel = _scaled(modes.C, _powers(modes.rate, 0, length))
    return torch.cat([kernel[:, :1] + modes.D.unsqueeze(1), kernel[:, 1:]], dim=1)


def convolve_fft(modes: Modes, u: Tensor) -> Tensor:
    """The convolution by fast Fourier transforms of twice the length."""
    length = u.shape[2]
    kernel = torch.fft.rfft(impulse_response(modes, length), n=2 * length)
    return torch.fft.irfft(torch.fft.rfft(u, n=2 * length) * kernel.unsqueeze(1), n=2 * length)[..., :length]


def states(modes: Modes, u: Tensor, initial: Tensor | None = None) -> Tensor:
    """The states x of `s4d.Modes` after every step, (H, B, L, M) complex; ``initial``, before the first, (H, B, M)."""
    channels, batch, length = u.shape
    decay = torch.exp(modes.rate)
    width = decay.shape[1]
    decay = decay.repeat_interleave(batch, dim=0).unsqueeze(1)
    start = None if initial is None else initial.reshape(channels * batch, width)
    drive = u.reshape(channels * batch, length, 1).expand(-1, -1, width)
    return diagonal_scan(decay, drive, start).reshape(channels, batch, length, width)


def convolve_recurrent(modes: Modes, u: Tensor) -> Tensor:
    """The recurrence, step by step."""
    read = 2 * torch.einsum("hblm,hm->hbl", states(modes, u), modes.C).real
    return read + modes.D.reshape(-1, 1, 1) * u


def convolve_chunked(modes: Modes, u: Tensor, size: int | None = None) -> Tensor:
    """The convolution in chunks of T steps, by matrix products.

    Within a chunk y is a product with a lower triangular Toeplitz matrix (T, T); what the steps of a chunk leave in
    the state at its end, and what the state before a chunk gives to each of its steps, are products with (T, 2M) and
    (2M, T). A scan of one step a chunk carries the states. Work is T + 4M products a step, and memory grows as L.

    Args:
        modes: the state spaces of H channels.
        u: (H, B, L).
        size: T; a fitting one if not given.
    """
    channels, batch, length = u.shape
    width = modes.rate.shape[1]
    size = chunk_size(length, width) if size is None else min(size, length)
    chunks = -(-length // size)
    padded = pad(u, (0, chunks * size - length)) if chunks * size > length else u
    cut = padded.reshape(channels, batch * chunks, size)
    powers = _powers(modes.rate, 0, size + 1)
    kernel = _scaled(modes.C, powers[..., :size])
    kernel = torch.cat([kernel[:, :1] + modes.D.unsqueeze(1), kernel[:, 1:]], dim=1)
    y = cut @ _toeplitz(kernel)
    if chunks > 1:
        y = torch.baddbmm(y, _carried(cut, powers, chunks), _reading(modes.C, powers[..., 1:]))
    return y.reshape(channels, batch, chunks * size)[..., :length]


def chunk_size(length: int, modes: int) -> int:
    """A chunk of about this many steps balances the triangular product against those with the state.

    Of the sizes near 3.5 sqrt(M) to 7 sqrt(M) + 16 the one that leaves the least padding.
    """
    wished = 16 + round(4 * math.sqrt(modes))
    if length <= 2 * wished:
        return length
    sizes = range(max(8, wished - 6), wished + 7)
    return min(sizes, key=lambda size: (-(-length // size) * size - length, abs(size - wished)))


def _carried(cut: Tensor, powers: Tensor, chunks: int) -> Tensor:
    """The state before each chunk, (H, B chunks, 2M), real and imaginary parts by turns."""
    channels, rows, size = cut.shape
    width = powers.shape[1]
    ending = torch.view_as_real(powers[..., :size].flip(2).mT).flatten(2)  # (H, T, 2M): exp(rate (T - 1 - s))
    left = torch.view_as_complex((cut @ ending).unflatten(2, (width, 2)))
    batch = rows // chunks
    left = left.reshape(channels * batch, chunks, width)[:, :-1]
    decay = powers[..., size].repeat_interleave(batch, dim=0).unsqueeze(1)
    carried = torch.view_as_real(diagonal_scan(decay, left)).flatten(2)
    return pad(carried, (0, 0, 1, 0)).reshape(channels, rows, 2 * width)


def _reading(C: Tensor, powers: Tensor) -> Tensor:
    """What the state before a chunk gives to each of its steps, (H, 2M, T)."""
    response = 2 * C.unsqueeze(2) * powers
    return torch.stack([response.real, -response.imag], dim=2).flatten(1, 2)


def _powers(rate: Tensor, start: int, stop: int) -> Tensor:
    """exp(rate t) for t = start .. stop - 1, (H, M, stop - start)."""
    return torch.exp(rate.unsqueeze(2) * torch.arange(start, stop, device=rate.device))


def _scaled(C: Tensor, powers: Tensor) -> Tensor:
    """2 Re(sum_m C powers), (H, T)."""
    return 2 * torch.einsum("hm,hmt->ht", C, powers).real


def _toeplitz(kernel: Tensor) -> Tensor:
    """W (H, T, T) with W[s, t] = kernel[t - s] for t >= s, else 0."""
    size = kernel.shape[1]
    return pad(kernel, (size - 1, 0)).unfold(1, size, 1).flip(1)
