"""A stream in blocks of events: what `stepping` computes event by event, many events at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...errors import PumiceError
from ..scan.event import event_scan
from ..scan.intervals import Intervals
from ..scan.kernels.event import decay_complement
from .classifier import EventClassifier, ModelState
from .head import update_read_out
from .layer import EventLayer
from .norm import normalize
from .pool import TIME_EPSILON
from .stepping import LayerState, first_event


class Rows(NamedTuple):
    """n events of one stream, n may be 0.

    Attributes:
        value: (n, H).
        dt: (n,) ms since the previous event at this rate.
        pool_dt: (n,) ms, the weight in timepool.
    """

    value: Tensor
    dt: Tensor
    pool_dt: Tensor


def advance_block(
    model: EventClassifier[Any], tokens: Tensor, dt: Tensor, state: ModelState, pool_dt: Tensor | None = None
) -> tuple[Rows, ModelState]:
    """Feed n events of one stream; the same as n calls of ``model.step``, but for the order of sums.

    Args:
        model: in evaluation mode.
        tokens: (n,) int64, or dense input (n, d_in).
        dt: (n,) ms, the decay interval before each event.
        state: of one stream, from ``model.init_state(1)`` or the block before; it is not changed.
        pool_dt: (n,) ms; dt if not given.

    Returns:
        The encoder's outputs, one a complete window, and the new state, which ``model.readout`` reads.

    Raises:
        PumiceError: the model is in training mode, or a token is outside the vocabulary.
    """
    if model.training:
        raise PumiceError("a stream runs in evaluation mode only; call eval() on the model first")
    source = model.embedding if model.config.token_input else model.encoder
    event = first_event(source, model.config.vocab, tokens, dt, pool_dt, None)
    rows, layers = Rows(event.value, event.dt, event.pool_dt), []
    for layer, layer_state in zip(model.layers, state.layers, strict=True):
        rows, following = _advance_layer(layer, rows, layer_state)
        layers.append(following)
    read, always = state.read_out, torch.ones(1, dtype=torch.bool)
    for value, weight in zip(rows.value, rows.pool_dt, strict=True):
        read = update_read_out(read, value.unsqueeze(0), weight.unsqueeze(0), always, model.config.head)
    total = state.total_time + event.pool_dt.sum()
    return rows, ModelState(tuple(layers), read, state.count + len(rows.dt), total)


def _advance_layer(layer: EventLayer, rows: Rows, state: LayerState) -> tuple[Rows, LayerState]:
    """What leaves the layer, one row a window that was closed, and the new state."""
    n, opened, stride = len(rows.dt), int(state.count), layer.pool.stride
    if n == 0:
        return Rows(state.latched[:0], rows.dt, rows.pool_dt), state
    u = normalize(layer.norm, rows.value, torch.ones(n, dtype=torch.bool))
    states = _states(layer, u, rows.dt, state.x)
    place = torch.arange(opened, opened + n)
    window, first = place // stride, place % stride == 0
    closed = (opened + n) // stride
    latched = states.new_zeros(closed + 1, state.latched.shape[1])
    latched[0] = state.latched[0]
    latched[window[first]] = states[first] @ layer.ssm.output_matrix().mT
    weight = torch.ones_like(rows.dt)
    if layer.pool.pooling == "timepool":
        weight = rows.pool_dt + TIME_EPSILON
    elif layer.pool.pooling == "last":
        weight = first.to(rows.dt.dtype)
    intervals = torch.stack([weight, rows.dt, rows.pool_dt], dim=1)
    adding = torch.cat([weight.unsqueeze(1) * torch.cat([rows.value, u], dim=1), intervals], dim=1)
    sums = states.new_zeros(closed + 1, adding.shape[1])
    sums[0] = torch.cat([state.pooled[0], state.weight, state.dt, state.pool_dt])
    sums.index_add_(0, window, adding)
    pooled_x, pooled_u = (sums[:closed, :-3] / sums[:closed, -3:-2]).chunk(2, dim=1)
    value, carried = _combine(layer, pooled_x, layer.ssm.output(latched[:closed], pooled_u), state.carried)
    open_sums = sums[closed:]
    following = LayerState(
        states[-1:],
        torch.full_like(state.count, (opened + n) % stride),
        latched[closed:],
        open_sums[:, :-3],
        weight=open_sums[:, -3],
        dt=open_sums[:, -2],
        pool_dt=open_sums[:, -1],
        carried=carried,
    )
    return Rows(value, sums[:closed, -2], sums[:closed, -1]), following


def _states(layer: EventLayer, u: Tensor, dt: Tensor, x: Tensor) -> Tensor:
    """The SSM's states after each event, (n, 2P) planar, from that before, (1, 2P)."""
    ssm = layer.ssm
    rates = ssm.rates()
    drive = torch.complex(*(u @ ssm.input_matrix().mT).chunk(2, dim=1))
    if ssm.discretization == "zoh":
        drive = torch.complex(*decay_complement(rates, dt).chunk(2, dim=1)) * drive
    before = torch.complex(*x.chunk(2, dim=1))
    complement = torch.complex(*decay_complement(rates, dt[:1]).chunk(2, dim=1))
    drive = torch.cat([drive[:1] + before + complement * before, drive[1:]])  # the scan itself begins at zero
    planar = torch.cat([drive.real, drive.imag], dim=1)
    since = torch.cat([torch.zeros_like(dt[:1]), dt[1:]])
    return event_scan(rates, Intervals.of(since.unsqueeze(0)), planar.unsqueeze(0))[0]


def _combine(layer: EventLayer, pooled_x: Tensor, y: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
    """What the windows of a block give, (n, H_out), and what the layer's output remembers."""
    if not layer.carries:
        return layer.combine(pooled_x.unsqueeze(0), y.unsqueeze(0))[0], carried
    values = [y[:0]]
    for k in range(len(y)):
        value, carried = layer.combine_step(pooled_x[k : k + 1], y[k : k + 1], carried)
        values.append(value)
    return torch.cat(values), carried
