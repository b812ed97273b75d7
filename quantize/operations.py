"""The operations of a program on values ``code * 2**-frac``, with straight-through gradients.

Forward passes are the program's integers: float64 holds every one exactly, float32 those of up to 24 bits, sums of
products excepted. Divisions and square roots are taken in int64. Backward passes see the real-valued function, and
nothing where its result was clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout, embedding, embedding_bag

from ..models.host import check_tokens
from ..program.bounds import I64_LIMIT
from ..program.formats import Format
from .codes import rounded
from .kernels.elementwise import fits, look_up, slope
from .kernels.norm import normalise, undo
from .straight_through import codes, replace
from .tables import FUNCTIONS, lookup_table

LARGEST_ROOT_SHIFT = 8
RealFunction = Callable[[Tensor], Tensor]
"""A function of each element."""


class LayerNormTerms(NamedTuple):
    """See the LayerNorm node."""

    size: int
    root_shift: int
    epsilon: int

    @classmethod
    def of(cls, size: int, input: Format, epsilon: float) -> LayerNormTerms:
        """Those of a layer norm over ``size`` channels.

        ``root_shift`` k is the largest (up to 8) with which ``(V + E) 4**k`` stays below 2**52; E >= 1 is epsilon in
        units of V.
        """
        scaled = max(1, int(rounded(np.asarray(np.ldexp(epsilon * size**2, 2 * input.frac)))))
        largest = (size * input.magnitude) ** 2 + scaled
        shift = 0
        while shift < LARGEST_ROOT_SHIFT and largest << (2 * shift + 2) < I64_LIMIT:
            shift += 1
        return cls(size, shift, scaled)


class Affine(NamedTuple):
    """gamma and beta (H,) of a layer norm that cannot fold, as values, and their fractional bits."""

    gamma: Tensor
    gamma_frac: int
    beta: Tensor
    beta_frac: int


class OwnNorm(NamedTuple):
    """A LayerNorm node with its own gamma and beta."""

    terms: LayerNormTerms
    affine: Affine


class Times(NamedTuple):
    """Times of a batch at the rate of one layer.

    Attributes:
        gap: (B, L) int64 ticks; 0 in the padding.
        weight: (B, L) int64, weights of timepool in pool ticks; 0 in the padding.
        lengths: (B,) int64.
    """

    gap: Tensor
    weight: Tensor
    lengths: Tensor

    def pooled(self, window: int) -> Times:
        """Sums over complete windows."""
        return Times(windows(self.gap, window).sum(2), windows(self.weight, window).sum(2), self.lengths // window)


def values(integers: Tensor, format: Format, dtype: torch.dtype) -> Tensor:
    """Values of codes."""
    return (integers.double() * format.scale).to(dtype)


def divide(numerator: Tensor, denominator: Tensor | int) -> Tensor:
    """``floor((2 p + q) / (2 q))`` in int64, q at least 1."""
    denominator = torch.as_tensor(denominator, dtype=torch.int64, device=numerator.device).clamp(min=1)
    return torch.div(2 * numerator + denominator, 2 * denominator, rounding_mode="floor")


def integer_sqrt(value: Tensor) -> Tensor:
    """``floor(sqrt(value))`` for 0 <= value < 2**52, int64."""
    root = value.double().sqrt().floor().to(torch.int64)
    root = root - (root * root > value).long()
    return root + ((root + 1) * (root + 1) <= value).long()


class _Normalise(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, terms: LayerNormTerms, input: Format, output: Format) -> Tensor:
        shift = terms.root_shift + output.frac
        scales = 2.0**input.frac, output.scale
        limits = output.min, output.max
        values, inside, moments = normalise(x, terms.root_shift, terms.epsilon, shift, limits, scales)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(x, inside, moments)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, inside, moments = ctx.saved_tensors
        return undo(x, inside, moments, grad), None, None, None


def layer_norm(x: Tensor, terms: LayerNormTerms, input: Format, output: Format, affine: Affine | None = None) -> Tensor:
    """The LayerNorm node. Shapes: (..., H) -> (..., H)."""
    size, shift, epsilon = terms
    if affine is None and fits(x) and shift + output.frac >= 0:
        return _Normalise.apply(x, terms, input, output)
    with torch.no_grad():
        q = codes(x, input)
        total = q.sum(-1, keepdim=True)
        variance = size * (q * q).sum(-1, keepdim=True) - total * total
        root = integer_sqrt((variance + epsilon) << (2 * shift))
        deviation, offset = shift + output.frac, 0
        if affine is not None:
            deviation, offset = deviation - affine.gamma_frac, output.frac - affine.beta_frac
        common = max(0, -deviation, -offset)
        numerator = (size * q - total) << (deviation + common)
        if affine is not None:
            gamma, beta = _integers(affine.gamma, affine.gamma_frac), _integers(affine.beta, affine.beta_frac)
            numerator = gamma * numerator + ((beta * root) << (offset + common))
        quotient = divide(numerator, root << common)
        exact = quotient.clamp(output.min, output.max)
    learned = (x,) if affine is None else (x, affine.gamma, affine.beta)
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learned)):
        return values(exact, output, x.dtype)
    centred = x - x.mean(-1, keepdim=True)
    unit = epsilon / size**2 * 4.0**-input.frac
    real = centred * torch.rsqrt(centred.square().mean(-1, keepdim=True) + unit)
    real = real if affine is None else real * affine.gamma + affine.beta
    return replace(real, values(exact, output, x.dtype), exact == quotient)


def _integers(x: Tensor, frac: int) -> Tensor:
    """Codes of values on a grid, int64."""
    return torch.round(x.double() * 2.0**frac).to(torch.int64)


class _LookUp(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, function: RealFunction, table: Tensor, input: Format) -> Tensor:
        ctx.function, ctx.input = function, input
        ctx.save_for_backward(x)
        if fits(x):
            return look_up(x, table, 2.0**input.frac, input.min)
        return table.to(x.dtype)[codes(x, input) - input.min]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        input = ctx.input
        places = torch.arange(input.min, input.max + 1, dtype=torch.float64, device=x.device) * input.scale
        with torch.enable_grad():
            places.requires_grad_()
            (slopes,) = torch.autograd.grad(ctx.function(places).sum(), places)
        if fits(x):
            return slope(x, grad, slopes, 2.0**input.frac, input.min), None, None, None
        return grad * slopes.to(x.dtype)[codes(x, input) - input.min], None, None, None


def lookup(x: Tensor, function: RealFunction, table: Tensor, input: Format) -> Tensor:
    """Values of ``table`` (2**width,) at the codes of x, with the gradient of the real ``function``."""
    return _LookUp.apply(x, function, table, input)


def table_values(function: str, input: Format, output: Format, device: torch.device) -> Tensor:
    """Values of the table of ``function``, a name in `tables.FUNCTIONS`, over the codes of ``input``, float64."""
    codes = lookup_table(FUNCTIONS[function], input, output)
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -output.frac)).to(device)


def token_index(tokens: Tensor, real: Tensor, vocab: int) -> Tensor:
    """Rows of a table of ``vocab`` tokens, (B, L) int64; where not ``real`` (B, L) the first.

    Raises:
        PumiceError: tokens outside the vocabulary.
    """
    index = torch.where(real, tokens, 0)
    check_tokens(index, vocab)
    return index


def shared_dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout with one mask over time, as the float model's."""
    if not training or probability == 0:
        return x
    return x * dropout(x.new_ones(x.shape[0], 1, x.shape[2]), probability)


class Dropout(NamedTuple):
    """Dropout while training.

    Attributes:
        probability: of a value, or of a channel's values.
        shared: one mask for all times; else each value by itself.
    """

    probability: float
    shared: bool = True

    def __call__(self, x: Tensor, training: bool) -> Tensor:
        """Of x (B, n, H)."""
        if self.shared:
            return shared_dropout(x, self.probability, training)
        return dropout(x, self.probability, training)


NO_DROPOUT = Dropout(0.0)


def windows(x: Tensor, window: int) -> Tensor:
    """Cut (B, L, ...) into (B, L // window, window, ...), dropping what does not fill a window."""
    count = x.shape[1] // window
    return x[:, : count * window].reshape(x.shape[0], count, window, *x.shape[2:])


def pool(x: Tensor, weight: Tensor, window: int, mode: str, format: Format) -> Tensor:
    """The EventPool node. Shapes: x (B, L, H), weight (B, L) int64 -> (B, L // window, H).

    ``mode``: "first", "last", "mean" or "time".
    """
    parts = windows(x, window)
    if mode in ("first", "last"):
        return parts[:, :, 0 if mode == "first" else -1]
    if mode == "mean" and window & (window - 1) == 0:
        return parts.mean(2)
    shares = windows(weight, window).unsqueeze(3) if mode == "time" else torch.ones_like(weight[:1, :1, None, None])
    return weighted_mean(parts, shares, format)


def pool_table(table: Tensor, index: Tensor, weight: Tensor, window: int, mode: str, format: Format) -> Tensor:
    """``pool(table[index])`` for a table (V, H) and index (B, L), as a rule without the (B, L, H) tensor in between."""
    places = windows(index, window)
    if mode in ("first", "last"):
        return embedding(places[:, :, 0 if mode == "first" else -1], table)
    if mode == "mean" and window & (window - 1) == 0:
        bags = embedding_bag(places.flatten(0, 1), table, mode="sum") * (1 / window)
        return bags.reshape(*places.shape[:2], table.shape[1])
    return pool(embedding(index, table), weight, window, mode, format)


def weighted_mean(parts: Tensor, weight: Tensor, format: Format) -> Tensor:
    """Mean over axis 2 of (B, n, w, H), weighted by integers (B, n, w, 1) or equally where these are all zero."""
    empty = weight.sum(2, keepdim=True) == 0
    weight = torch.where(empty, 1, weight).expand(*parts.shape[:3], 1)
    total = weight.sum(2)
    with torch.no_grad():
        exact = divide((weight * codes(parts, format)).sum(2), total)
    exact = values(exact, format, parts.dtype)
    if not (torch.is_grad_enabled() and parts.requires_grad):
        return exact
    return replace((parts * (weight / total.unsqueeze(2)).to(parts.dtype)).sum(2), exact)


def read_out(x: Tensor, times: Times, total_weight: Tensor, head: str, input: Format, output: Format) -> Tensor:
    """The Readout node over complete windows. Shapes: x (B, n, H), total_weight (B,) int64 -> (B, H)."""
    extra = output.frac - input.frac
    real = torch.arange(x.shape[1], device=x.device) < times.lengths.unsqueeze(1)
    count = times.lengths.clamp(min=1)
    if head == "last":
        shares, total = (torch.arange(x.shape[1], device=x.device) == (times.lengths - 1).unsqueeze(1)).long(), None
    else:
        shares, total = real.long(), count
        if head == "timepool":
            empty = total_weight == 0
            shares = torch.where(empty.unsqueeze(1), shares, shares * times.weight)
            total = torch.where(empty, count, total_weight)
    with torch.no_grad():
        summed = torch.einsum("bn,bnh->bh", shares, codes(x, input) * real.unsqueeze(2)) << extra
        quotient = summed if total is None else divide(summed, total.unsqueeze(1))
        exact = quotient.clamp(output.min, output.max)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return values(exact, output, x.dtype)
    factor = shares if total is None else shares / total.unsqueeze(1)
    mean = torch.einsum("bn,bnh->bh", factor.to(x.dtype), x)
    return replace(mean, values(exact, output, x.dtype), exact == quotient)
