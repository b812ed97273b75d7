"""Where the spikes of a model's neurons can be looked at while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn


class SpikeTap(nn.Module):
    """Called with all spikes of a layer, (B, n, H) of 0 and 1, in forward passes of sequences; it changes nothing.

    Attributes:
        every: steps of the input that each of the n rows is for; the last one may be incomplete and then has no row.
    """

    every: int = 1

    def forward(self, spikes: Tensor) -> Tensor:
        """The spikes."""
        return spikes


def spike_taps(model: nn.Module) -> dict[str, SpikeTap]:
    """Those of a model, by the path of their layer; none of models without spikes."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, SpikeTap)}
    return {name.rpartition(".")[0]: tap for name, tap in found.items()}


@contextlib.contextmanager
def listening(model: nn.Module) -> Iterator[dict[str, list[Tensor]]]:
    """What the layers of a model are heard to say meanwhile: by `spike_taps`, (B, n, H) with gradients, in order."""
    taps = spike_taps(model)
    heard: dict[str, list[Tensor]] = {path: [] for path in taps}

    def keep(path: str) -> Any:
        return lambda tap, arguments, spikes: heard[path].append(spikes)

    handles = [tap.register_forward_hook(keep(path)) for path, tap in taps.items()]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()
