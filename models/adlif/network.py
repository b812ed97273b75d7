"""Stacked recurrent layers with a leaky-integrator read-out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import dropout

from ..modules import ModuleList
from ..scan.neuron_step import Spiking
from .blocks import aggregate
from .cells import Cell, CubaLIFCell, EFAdLIFCell, LIFCell, SEAdLIFCell, SpikingCell
from .config import AdLIFConfig
from .lstm import LSTMCell
from .readout import LeakyIntegrator

SPIKING_CELLS: dict[str, type[SpikingCell]] = {
    "lif": LIFCell,
    "cuba-lif": CubaLIFCell,
    "ef-adlif": EFAdLIFCell,
    "se-adlif": SEAdLIFCell,
}

Advance = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""From input and state to output and the next state."""


class AdLIFNetwork(nn.Module):
    """Recurrent layers of one kind of cell, then leaky integrators (Baronig et al. 2024, arXiv 2408.07517).

    Attributes:
        cells: the layers, `Cell`.
        readout: `LeakyIntegrator`.

    Args:
        config: the settings.
        generator: of the initial values; None for zeros, to be loaded over.
    """

    def __init__(self, config: AdLIFConfig, generator: Generator | None) -> None:
        super().__init__()
        self.config = config
        inputs = (config.in_features, *config.widths)
        self.cells = ModuleList(
            _cell(config, width, hidden, reset, generator)
            for width, hidden, reset in zip(inputs, config.widths, config.resets, strict=False)
        )
        self.readout = LeakyIntegrator(config.widths[-1], config.num_classes, config.tau_out, generator, config.rise)

    def initial_state(self, batch: int) -> list[Any]:
        """The states of the layers and of the read-out before the first step."""
        return [layer.initial_state(batch) for layer in (*self.cells, self.readout)]

    def step(self, x: Tensor, states: list[Any]) -> tuple[Tensor, list[Any]]:
        """One time step: x (B, F) and the states to the potentials (B, C) and the next states."""
        return self._through([cell.step for cell in self.cells], self.readout.step, x, states)

    def sequence(self, x: Tensor, states: list[Any] | None = None) -> tuple[Tensor, list[Any]]:
        """All steps of x (B, T, F): the potentials (B, T, C) and the last states."""
        states = self.initial_state(len(x)) if states is None else states
        return self._through([cell.sequence for cell in self.cells], self.readout.sequence, x, states)

    def forward(self, x: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits of the blocks of a batch.

        Args:
            x: (B, T, F).
            blocks: (B, T) int64 in [0, count), the block that each step belongs to.
            count: number of blocks N.

        Returns:
            (B, N, C).
        """
        potentials, _ = self.sequence(x)
        return aggregate(potentials, blocks, count, self.config.aggregation)

    def predict_series(self, x: Tensor, free_from: int) -> Tensor:
        """Predict a series whose input, from step ``free_from`` on, is the prediction of the step before.

        Args:
            x: (B, T, F); the steps from ``free_from`` on are not looked at.
            free_from: at least 1.

        Returns:
            (B, T, C), C = F.
        """
        guided, states = self.sequence(x[:, :free_from])
        predictions = [guided[:, -1]]
        for _ in range(x.shape[1] - free_from):
            value, states = self.step(predictions[-1], states)
            predictions.append(value)
        return torch.cat([guided, torch.stack(predictions, dim=1)[:, 1:]], dim=1)

    def constrain(self) -> None:
        """Bring parameters back into their ranges; called after each optimizer step."""
        for layer in (*self.cells, self.readout):
            layer.constrain()

    def _through(
        self, layers: Sequence[Advance], read: Advance, x: Tensor, states: list[Any]
    ) -> tuple[Tensor, list[Any]]:
        """Layer after layer, with dropout on what each passes on."""
        *layer_states, last = states
        following = []
        for advance, state in zip(layers, layer_states, strict=True):
            x, state = advance(x, state)
            x = self._drop(x)
            following.append(state)
        x, state = read(x, last)
        return x, [*following, state]

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.config.dropout, self.training)


def _cell(config: AdLIFConfig, in_features: int, hidden: int, reset: str, generator: Generator | None) -> Cell:
    if config.cell == "lstm":
        return LSTMCell(in_features, hidden, generator=generator)
    return SPIKING_CELLS[config.cell](
        in_features,
        hidden,
        recurrent=config.recurrent,
        tau_u=config.tau_u,
        tau_w=config.tau_w,
        tau_i=config.tau_i,
        q=config.q,
        rise=config.rise,
        spiking=Spiking(config.threshold, config.surrogate_slope, config.surrogate_scale, reset, config.refractory),
        generator=generator,
    )
