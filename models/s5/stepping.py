"""Event by event: one layer with carried state."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..host import check_tokens
from ..scan.kernels.event import decay_complement
from .layer import EventLayer
from .norm import normalize
from .pool import TIME_EPSILON


class Event(NamedTuple):
    """One event of each of B streams.

    Attributes:
        value: (B, H).
        dt: (B,) ms since the previous event at this rate.
        pool_dt: (B,) ms, the weight in timepool.
        valid: (B,) bool; an invalid event changes no state and its other entries mean nothing.
    """

    value: Tensor
    dt: Tensor
    pool_dt: Tensor
    valid: Tensor


class LayerState(NamedTuple):
    """What one layer remembers of B streams.

    Attributes:
        x: (B, 2P) planar, the SSM's state.
        count: (B,) int64, events in the open window.
        latched: (B, H_out), C x at the first event of the open window.
        pooled: (B, 2 H_in), weighted sum of the layer's input and of the normalised input over the open window.
        weight: (B,), sum of the weights.
        dt: (B,) ms, sum of dt over the open window.
        pool_dt: (B,) ms, sum of pool_dt.
        carried: (B, H_out), what the layer's output remembers from window to window; (B, 0) where it does not.
    """

    x: Tensor
    count: Tensor  # type: ignore[assignment]
    latched: Tensor
    pooled: Tensor
    weight: Tensor
    dt: Tensor
    pool_dt: Tensor
    carried: Tensor

    @classmethod
    def zero(cls, layer: EventLayer, batch: int) -> LayerState:
        """The state before the first event."""
        ssm = layer.ssm
        zeros = ssm.Lambda_re.detach().new_zeros
        return cls(
            zeros(batch, 2 * len(ssm.Lambda_re)),
            torch.zeros(batch, dtype=torch.int64, device=ssm.Lambda_re.device),
            zeros(batch, len(ssm.C)),
            zeros(batch, 2 * ssm.B.shape[1]),
            zeros(batch),
            zeros(batch),
            zeros(batch),
            zeros(batch, len(ssm.C) if layer.carries else 0),
        )


def first_event(
    source: nn.Embedding | nn.Linear,
    vocab: int | None,
    token: Tensor,
    dt: Tensor,
    pool_dt: Tensor | None,
    valid: Tensor | None,
) -> Event:
    """An event as the first layer of a model reads it; arguments as those of the model's ``step``.

    Args:
        source: the model's embedding of tokens, or its encoder of dense input.
        vocab: how many tokens there are; None for dense input.

    Raises:
        PumiceError: a token outside the vocabulary.
    """
    dtype = source.weight.dtype
    valid = torch.ones_like(dt, dtype=torch.bool) if valid is None else valid
    dt = torch.where(valid, dt.to(dtype), 0)
    pool_dt = dt if pool_dt is None else torch.where(valid, pool_dt.to(dtype), 0)
    if vocab is not None:
        token = torch.where(valid, token, 0)
        check_tokens(token, vocab)
        return Event(source(token), dt, pool_dt, valid)
    return Event(source(torch.where(valid.unsqueeze(1), token.to(dtype), 0)), dt, pool_dt, valid)


def step_layer(layer: EventLayer, event: Event, state: LayerState) -> tuple[Event, LayerState]:
    """Feed one event to a layer in evaluation mode.

    Returns:
        The event that leaves the layer, valid where this event closed a window, and the new state.
    """
    u = normalize(layer.norm, event.value, event.valid)
    x = _advance(layer, u, event.dt, state.x)
    first = state.count == 0
    latched = torch.where(first.unsqueeze(1), x @ layer.ssm.output_matrix().mT, state.latched)
    weight = _weight(layer, event, first)
    running = LayerState(
        x,
        state.count + 1,
        latched,
        state.pooled + weight.unsqueeze(1) * torch.cat([event.value, u], dim=1),
        state.weight + weight,
        state.dt + event.dt,
        state.pool_dt + event.pool_dt,
        state.carried,
    )
    closed = running.count == layer.pool.stride
    pooled_x, pooled_u = (running.pooled / running.weight.unsqueeze(1)).chunk(2, dim=1)
    value, carried = layer.combine_step(pooled_x, layer.ssm.output(latched, pooled_u), state.carried)
    leaving = Event(value, running.dt, running.pool_dt, event.valid & closed)

    nothing = LayerState(*(entry.new_zeros(()) for entry in running))
    reopened = nothing._replace(x=running.x, latched=running.latched, carried=carried)
    return leaving, _choose(event.valid, _choose(closed, reopened, running), state)


def _advance(layer: EventLayer, u: Tensor, dt: Tensor, x: Tensor) -> Tensor:
    """The SSM's next state, (B, 2P) planar."""
    ssm = layer.ssm
    drive = torch.complex(*(u @ ssm.input_matrix().mT).chunk(2, dim=1))
    complement = torch.complex(*decay_complement(ssm.rates(), dt).chunk(2, dim=1))
    x = torch.complex(*x.chunk(2, dim=1))
    x = x + complement * (x + drive) if ssm.discretization == "zoh" else x + complement * x + drive
    return torch.cat([x.real, x.imag], dim=1)


def _weight(layer: EventLayer, event: Event, first: Tensor) -> Tensor:
    """What the event counts in its window, (B,)."""
    if layer.pool.pooling == "timepool":
        return event.pool_dt + TIME_EPSILON
    if layer.pool.pooling == "last":
        return first.to(event.dt.dtype)
    return torch.ones_like(event.dt)


def _choose(condition: Tensor, new: LayerState, old: LayerState) -> LayerState:
    """The new state of those streams (B,) for which the condition holds."""
    pairs = zip(new, old, strict=True)
    return LayerState(*(torch.where(condition.reshape(-1, *[1] * (b.dim() - 1)), a, b) for a, b in pairs))
