"""Event by event: layers and read-out with carried state."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ..s5.pool import TIME_EPSILON
from ..s5.stepping import Event
from .layer import RealS5Layer


class LayerState(NamedTuple):
    """What one layer remembers of B streams.

    Attributes:
        x: (B, P), the modes.
        pooled_x: (B, H_in), weighted sum of the layer's input over the open window.
        pooled_y: (B, H_out), that of the SSM's output.
        weight: (B,), sum of the weights.
        dt: (B,) ms, sum of dt over the open window.
        pool_dt: (B,) ms, sum of pool_dt.
        count: (B,) int64, events in the open window.
    """

    x: Tensor
    pooled_x: Tensor
    pooled_y: Tensor
    weight: Tensor
    dt: Tensor
    pool_dt: Tensor
    count: Tensor  # type: ignore[assignment]

    @classmethod
    def zero(cls, layer: RealS5Layer, batch: int) -> LayerState:
        """The state before the first event."""
        outputs, modes = layer.ssm.C.shape
        zeros = layer.ssm.B.detach().new_zeros
        return cls(
            zeros(batch, modes),
            zeros(batch, layer.ssm.B.shape[1]),
            zeros(batch, outputs),
            zeros(batch),
            zeros(batch),
            zeros(batch),
            torch.zeros(batch, dtype=torch.int64, device=layer.ssm.B.device),
        )


class ReadState(NamedTuple):
    """What the read-out remembers of B streams.

    Attributes:
        total: (B, H), weighted sum of the encoder's outputs.
        weight: (B,), sum of the weights.
        peak: (B,), the largest score of attnpool so far, by which the weights are scaled; else 0.
    """

    total: Tensor
    weight: Tensor
    peak: Tensor


def step_layer(layer: RealS5Layer, event: Event, state: LayerState) -> tuple[Event, LayerState]:
    """Feed one event to a layer in evaluation mode.

    Returns:
        The event that leaves the layer, valid where this event closed a window, and the new state.
    """
    pooling = layer.pool.pooling
    u = layer.gated_input(event.value)
    x = layer.ssm.advance(u, event.dt, state.x)
    weight = event.pool_dt + TIME_EPSILON if pooling == "timepool" else torch.ones_like(event.dt)
    kept = 0.0 if pooling == "last" else 1.0
    running = LayerState(
        x,
        kept * state.pooled_x + weight.unsqueeze(1) * event.value,
        kept * state.pooled_y + weight.unsqueeze(1) * layer.ssm.output(x, u),
        kept * state.weight + weight,
        state.dt + event.dt,
        state.pool_dt + event.pool_dt,
        state.count + 1,
    )
    closed = running.count == layer.pool.stride
    share = 1 / running.weight.unsqueeze(1)
    value = layer.combine(running.pooled_x * share, running.pooled_y * share, event.valid)
    leaving = Event(value, running.dt, running.pool_dt, event.valid & closed)
    emptied = LayerState(x, *(torch.zeros_like(entry) for entry in running[1:]))
    return leaving, _choose(event.valid, _choose(closed, emptied, running), state)


def step_read_out(head: str, event: Event, score: Tensor | None, state: ReadState) -> ReadState:
    """Add an encoder's output, where it is valid; ``score`` (B,) of attnpool."""
    kept, peak = torch.ones_like(state.weight), state.peak
    weight = event.pool_dt + TIME_EPSILON if head == "timepool" else torch.ones_like(state.weight)
    if head == "last":
        kept = torch.zeros_like(kept)
    elif head == "attnpool":
        assert score is not None
        peak = torch.where(state.weight > 0, torch.maximum(state.peak, score), score)
        kept, weight = torch.exp(state.peak - peak), torch.exp(score - peak)
    total = kept.unsqueeze(1) * state.total + weight.unsqueeze(1) * event.value
    return _choose(event.valid, ReadState(total, kept * state.weight + weight, peak), state)


State = TypeVar("State", LayerState, ReadState)


def _choose(condition: Tensor, new: State, old: State) -> State:
    """The new state of those streams (B,) for which the condition holds."""
    pairs = zip(new, old, strict=True)
    return type(new)(*(torch.where(condition.reshape(-1, *[1] * (b.dim() - 1)), a, b) for a, b in pairs))
