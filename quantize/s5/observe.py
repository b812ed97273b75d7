"""Calibration: the float model over every event, and what its edges and states reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from ...models.s5.classifier import EventClassifier
from ...models.s5.head import read_out
from ...models.s5.layer import EventLayer
from ...models.s5.norm import MaskedBatchNorm
from ...models.s5.times import EventTimes
from ...models.scan.event import event_scan
from ..observers import Histogram, Peaks
from ..output import Output
from .fold import fold_layer


class Collector(Protocol):
    """What is shown values of an edge or a state."""

    def update(self, x: Tensor, /) -> None:
        """Look at values, any shape whose last axis is that of channels."""


class ShownLayer(Protocol):
    """What is shown one layer: its edges by name, and its states (n, 2P), planar."""

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
    """What the edges of the layer ``path`` reach; ``behind``: those behind its state space."""

    def __init__(self, path: str, modes: int, behind: Iterable[str]) -> None:
        self.edges = {name: Histogram(f"{path}.{name}") for name in ("u", *behind, "skip", "output")}
        self.states = Peaks(modes, f"the state of {path}")


class NetworkObserver:
    """What the edges of a network reach.

    Args:
        modes: of each layer, by its path.
        behind: the edges of each layer behind its state space.
    """

    def __init__(self, modes: Mapping[str, int], behind: Iterable[str]) -> None:
        names = {"input": "the input", "embedded": "the embedding", "readout": "the read-out"}
        self.edges = {name: Histogram(what) for name, what in names.items()}
        self.layers = [LayerObserver(path, count, behind) for path, count in modes.items()]


@torch.no_grad()
def observe(
    model: EventClassifier[Any],
    output: Output[Any],
    observer: Shown,
    tokens: Tensor,
    dt: Tensor,
    lengths: Tensor,
    pool_dt: Tensor | None = None,
) -> Tensor:
    """Run the float model on a batch and let ``observer`` see every real event; returns the logits."""
    times = EventTimes(dt.to(model.decoder.weight.dtype), (dt if pool_dt is None else pool_dt).to(dt.dtype), lengths)
    total_time = times.pool_dt.sum(1)
    if model.config.token_input:
        x = model.embedding(torch.where(times.real, tokens, 0))
        observer.edges["embedded"].update(model.embedding.weight)
    else:
        tokens = tokens.to(dt.dtype)
        observer.edges["input"].update(tokens[times.real])
        x = model.encoder(tokens)
        observer.edges["embedded"].update(x[times.real])
    for layer, seen in zip(model.layers, observer.layers, strict=True):
        x, times = _observe_layer(layer, output, seen, x, times)
    value = read_out(x, times, total_time, model.config.head)
    observer.edges["readout"].update(value)
    return model.decoder(value)


def _observe_layer(
    layer: EventLayer, output: Output[Any], seen: ShownLayer, x: Tensor, times: EventTimes
) -> tuple[Tensor, EventTimes]:
    folded = fold_layer(layer, x.dtype)
    norm, ssm = layer.norm, layer.ssm
    if isinstance(norm, MaskedBatchNorm):
        assert folded.norm is not None
        u = x * folded.norm.multiplier + folded.norm.offset
    else:
        u = layer_norm(x, list(norm.normalized_shape), eps=norm.eps)
    seen.edges["u"].update(u[times.real])
    drive = linear(u, folded.input, folded.input_bias)
    hold = ssm.discretization == "zoh"
    states = event_scan(folded.rate, times.intervals, drive, hold=hold)
    seen.states.update(states[times.real])
    if hold:  # the sum of state and drive is stored as well
        before = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        seen.states.update((before + drive)[times.real])
    stride = layer.pool.stride
    count = x.shape[1] // stride
    u, x = layer.pool(u, times), layer.pool(x, times)
    times = times.pooled(stride)
    states = states[:, : count * stride : stride]
    through = u * folded.feedthrough if folded.feedthrough.dim() == 1 else linear(u, folded.feedthrough)
    added = linear(states, folded.output, folded.bias) + through
    for name, value in output.values(layer, added):
        added = value
        if name in seen.edges:
            seen.edges[name].update(value[times.real])
        if name in output.wide:
            seen.edges[name].update(output.reach(value[times.real]))
    if folded.skip is not None:
        x = linear(x, *folded.skip)
        seen.edges["skip"].update(x[times.real])
    x = x + added
    seen.edges["output"].update(x[times.real])
    return x, times
