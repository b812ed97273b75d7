"""Calibration: the float model over every event, and what its edges and states reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from ...models.real_s5.classifier import RealS5Classifier
from ...models.real_s5.layer import RealS5Layer
from ...models.s5.classifier import EventClassifier
from ...models.s5.config import STEPS
from ...models.s5.head import read_out
from ...models.s5.layer import EventLayer
from ...models.s5.times import EventTimes, windows
from ...models.scan.event import event_scan
from ..observers import Histogram, Peaks
from ..output import Output
from .fold import Fold, FoldedLayer
from .formats import Geometry, gate_names


class Collector(Protocol):
    """What is shown values of an edge or a state."""

    def update(self, x: Tensor, /) -> None:
        """Look at values, any shape whose last axis is that of channels."""


class ShownLayer(Protocol):
    """What is shown one layer: its edges by name, and its states (n, 2P), planar, or (n, P) of real modes."""

    @property
    def edges(self) -> Mapping[str, Collector]:
        """By name."""

    @property
    def states(self) -> Collector:
        """Of the states."""


class Shown(Protocol):
    """What is shown a network."""

    @property
    def edges(self) -> Mapping[str, Collector]:
        """By name."""

    @property
    def layers(self) -> Sequence[ShownLayer]:
        """In order."""


class LayerObserver:
    """What the named edges and the states of the layer ``path`` reach."""

    def __init__(self, path: str, modes: int, edges: Iterable[str]) -> None:
        self.edges = {name: Histogram(f"{path}.{name}") for name in edges}
        self.states = Peaks(modes, f"the state of {path}")


class NetworkObserver:
    """What the edges of a network reach.

    Args:
        layers: in order.
    """

    def __init__(self, layers: Sequence[LayerObserver]) -> None:
        names = {"input": "the input", "embedded": "the embedding", "readout": "the read-out"}
        self.edges = {name: Histogram(what) for name, what in names.items()}
        self.layers = layers


class Observed(NamedTuple):
    """A float layer as calibration runs it.

    Attributes:
        geometry: where it lies, and what it is made of.
        folded: its weights.
        layer: the layer itself, for what it pools by and for what follows its state space.
    """

    geometry: Geometry
    folded: FoldedLayer[Tensor]
    layer: EventLayer | RealS5Layer


def observed(
    folds: Iterable[Fold], geometries: Iterable[Geometry], layers: Iterable[EventLayer | RealS5Layer]
) -> list[Observed]:
    """The float layers of a model, in order."""
    found = []
    with torch.no_grad():
        for fold, geometry, layer in zip(folds, geometries, layers, strict=True):
            found.append(Observed(geometry, fold(layer.ssm.B.dtype), layer))
    return found


@torch.no_grad()
def observe(
    model: EventClassifier[Any] | RealS5Classifier,
    layers: Iterable[Observed],
    output: Output[Any],
    observer: Shown,
    tokens: Tensor,
    dt: Tensor,
    lengths: Tensor,
    pool_dt: Tensor | None = None,
    *,
    all_time: bool = True,
) -> Tensor:
    """Run the float model on a batch and let ``observer`` see every real event; returns the logits as ``forward``.

    ``all_time``: whether the time of head "timepool" is that of all events, and not of the complete windows.
    """
    times = EventTimes(dt.to(model.decoder.weight.dtype), (dt if pool_dt is None else pool_dt).to(dt.dtype), lengths)
    total_time = times.pool_dt.sum(1)
    if model.config.token_input:
        x = model.embedding(torch.where(times.real, tokens, 0))
        observer.edges["embedded"].update(model.embedding.weight)
    else:
        tokens = tokens.to(dt.dtype)
        observer.edges["input"].update(times.only(tokens))
        x = model.encoder(tokens)
        observer.edges["embedded"].update(times.only(x))
    for layer, seen in zip(layers, observer.layers, strict=True):
        x, times = _observe_layer(*layer, output, seen, x, times)
    if not all_time:
        total_time = (times.pool_dt * times.real).sum(1)
    if model.config.head == STEPS:
        observer.edges["readout"].update(times.only(x))
        return model.decoder(x)
    value = read_out(x, times, total_time, model.config.head)
    observer.edges["readout"].update(value)
    return model.decoder(value)


def _observe_layer(
    geometry: Geometry,
    folded: FoldedLayer[Tensor],
    layer: EventLayer | RealS5Layer,
    output: Output[Any],
    shown: ShownLayer,
    x: Tensor,
    times: EventTimes,
) -> tuple[Tensor, EventTimes]:
    def see(name: str, value: Tensor) -> Tensor:
        if name in shown.edges:
            shown.edges[name].update(times.only(value))
        return value

    u = see("u", _read(geometry, folded, x, see))
    hold = geometry.discretization == "zoh"
    states = _states(folded, linear(u, folded.input, folded.input_bias), times, hold, shown)
    if geometry.stride > 1:
        u, x = layer.pool(u, times), layer.pool(x, times)
        first = geometry.sampling == "first"
        states = windows(states, geometry.stride)[:, :, 0] if first else layer.pool(states, times)
        times = times.pooled(geometry.stride)
    added = linear(states, folded.output, folded.bias)
    if folded.feedthrough is not None:
        added = added + (u * folded.feedthrough if folded.feedthrough.dim() == 1 else linear(u, folded.feedthrough))
    if geometry.inside is not None:
        added = _own_norm(geometry, folded, see("linear", added))
    for name, value in output.values(layer, added):
        added = see(name, value)
        if name in output.wide and name in shown.edges:
            shown.edges[name].update(output.reach(times.only(value)))
    if geometry.residual:
        added = (x if folded.skip is None else see("skip", linear(x, *folded.skip))) + added
    if geometry.after is not None:
        added = see("total", added)
        if geometry.after == "layer":
            added = _own_norm(geometry, folded, added)
        elif folded.norm is not None:
            added = added * folded.norm.multiplier + folded.norm.offset
    return see("output", added), times


def _read(geometry: Geometry, folded: FoldedLayer[Tensor], x: Tensor, see: Callable[[str, Tensor], Tensor]) -> Tensor:
    """What the state space reads."""
    if geometry.before == "batch" and folded.norm is not None:
        return x * folded.norm.multiplier + folded.norm.offset
    if geometry.before == "layer":
        return layer_norm(x, [x.shape[-1]], eps=geometry.epsilon)
    value = x
    for name, gate in zip(gate_names(folded.gates), folded.gates, strict=True):
        value = see(name, linear(value, *gate))
    return x * see("input_sigmoid", torch.sigmoid(value)) if folded.gates else x


def _states(folded: FoldedLayer[Tensor], drive: Tensor, times: EventTimes, hold: bool, shown: ShownLayer) -> Tensor:
    """The states after every event, which ``shown`` sees."""
    rate, channels = folded.rate, drive.shape[-1]
    if folded.parts == 1:  # the scan is one of complex numbers
        rate, drive = torch.complex(rate, torch.zeros_like(rate)), torch.cat([drive, torch.zeros_like(drive)], dim=-1)
    states = event_scan(rate, times.intervals, drive, hold=hold)[..., :channels]
    shown.states.update(times.only(states))
    if hold:  # the sum of state and drive is stored as well
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        shown.states.update(times.only(before + drive[..., :channels]))
    return states


def _own_norm(geometry: Geometry, folded: FoldedLayer[Tensor], x: Tensor) -> Tensor:
    """A layer norm with its gamma and beta."""
    assert folded.affine is not None
    return layer_norm(x, [x.shape[-1]], folded.affine.multiplier, folded.affine.offset, geometry.epsilon)
