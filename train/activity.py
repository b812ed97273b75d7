"""How often neurons spike: a penalty while a model learns, and the rates that it reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import PumiceError
from ..models.spikes import listening, spike_taps
from .settings import TrainingSettings

Batch = TypeVar("Batch")


def real_steps(batch: Any) -> Tensor | None:
    """Steps or events of each sequence of a batch, (B,); None where none is padded."""
    lengths = getattr(batch, "lengths", None)
    return None if lengths is None else lengths.reshape(-1)


def spikes_of(spikes: Tensor, lengths: Tensor | None, every: int) -> tuple[Tensor, Tensor]:
    """Spikes of each neuron in rows that are not padding, (H,), and the number of these rows, scalar.

    Args:
        spikes: (B, n, H) of 0 and 1.
        lengths: (B,), steps of each sequence.
        every: steps of a row.
    """
    kind = torch.promote_types(spikes.dtype, torch.float32)
    if lengths is None:
        return spikes.sum((0, 1), dtype=kind), spikes.new_full((), spikes.shape[0] * spikes.shape[1], dtype=kind)
    rows = (lengths.to(spikes.device) // every).unsqueeze(1)
    real = torch.arange(spikes.shape[1], device=spikes.device) < rows
    return (spikes * real.unsqueeze(2)).sum((0, 1), dtype=kind), real.sum().to(kind)


class ActivityPenalty:
    """What neurons cost that spike more often than ``training.activity_upper`` or less than ``activity_lower``.

    With the mean rate r of each neuron over a batch, spikes a step, or with scope ``layer`` of all neurons of a layer:

        activity * mean(max(0, r - upper)^2 + max(0, lower - r)^2)

    the mean over neurons, and over layers. Gradients go through the surrogate of the spikes.

    Args:
        model: with spiking neurons.
        settings: ``activity``, its bounds and its scope.

    Raises:
        PumiceError: the model has no spikes.
    """

    def __init__(self, model: nn.Module, settings: TrainingSettings) -> None:
        if not spike_taps(model):
            raise PumiceError(
                f"training.activity={settings.activity} limits how often neurons spike, and this model has none that "
                "do; leave it out, or choose a spiking model"
            )
        assert settings.activity is not None
        self.weight, self.scope = settings.activity, settings.activity_scope
        self.upper, self.lower = settings.activity_upper, settings.activity_lower

    def __call__(self, rates: Mapping[str, Tensor]) -> Tensor:
        """The penalty, scalar, of rates (H,) by layer."""
        costs = [self._cost(rate.mean() if self.scope == "layer" else rate) for rate in rates.values()]
        return self.weight * torch.stack(costs).mean()

    def _cost(self, rates: Tensor) -> Tensor:
        above, below = (rates - self.upper).clamp(min=0), (self.lower - rates).clamp(min=0)
        return (above.square() + below.square()).mean()


def batch_rates(heard: Mapping[str, list[Tensor]], model: nn.Module, batch: Any) -> dict[str, Tensor]:
    """Mean rates of neurons (H,) by layer, with gradients, from what was `listening` to while a batch was run."""
    taps, lengths, rates = spike_taps(model), real_steps(batch), {}
    for path, parts in heard.items():
        spikes, rows = spikes_of(torch.cat(parts, dim=1), lengths, taps[path].every)
        rates[path] = spikes / rows.clamp(min=1)
    return rates


class SpikeRates:
    """Counts the spikes of a model that is run over batches.

    Args:
        model: of any family; of those without spikes nothing is counted.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._taps = spike_taps(model)
        self._spikes, self._places = dict.fromkeys(self._taps, 0.0), dict.fromkeys(self._taps, 0.0)

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, each of which is run before the next one is asked for."""
        for batch in batches:
            with listening(self._model) as heard:
                yield batch
            lengths = real_steps(batch)
            for path, parts in heard.items():
                spikes, rows = spikes_of(torch.cat(parts, dim=1), lengths, self._taps[path].every)
                self._spikes[path] += float(spikes.double().sum())
                self._places[path] += float(rows) * len(spikes)

    def figures(self) -> dict[str, dict[str, float]]:
        """``spike_rates``, spikes a neuron and step by layer; nothing of models without."""
        rates = {path: self._spikes[path] / max(self._places[path], 1.0) for path in self._taps}
        return {"spike_rates": rates} if rates else {}


def rates_text(rates: Mapping[str, float]) -> str:
    """Rates for people: ``cells.0 3.20%, cells.1 4.11%``."""
    return ", ".join(f"{path} {rate:.2%}" for path, rate in rates.items())
