"""An LSTM with the interface of the spiking cells, as a baseline."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from .cells import Cell

LSTMState = tuple[Tensor, Tensor]


class LSTMCell(Cell):
    """An LSTM layer (Hochreiter and Schmidhuber 1997); the state is (h, c), each (B, H)."""

    def __init__(self, in_features: int, hidden: int, *, generator: Generator | None) -> None:
        super().__init__()
        self.in_features, self.hidden = in_features, hidden
        self.lstm = nn.LSTM(in_features, hidden, batch_first=True, device="meta").to_empty(device="cpu")
        bound = 1 / math.sqrt(hidden)
        with torch.no_grad():
            for parameter in self.lstm.parameters():
                _ = parameter.zero_() if generator is None else parameter.uniform_(-bound, bound, generator=generator)

    def initial_state(self, batch: int) -> LSTMState:
        """Zero h and c."""
        weight = self.lstm.get_parameter("weight_hh_l0")
        return weight.new_zeros(batch, self.hidden), weight.new_zeros(batch, self.hidden)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One time step, see `Cell.step`."""
        h, state = self.sequence(x.unsqueeze(1), state)
        return h.squeeze(1), state

    def sequence(self, x: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """All time steps, see `Cell.sequence`."""
        h, c = self.initial_state(len(x)) if state is None else state
        out, (h, c) = self.lstm(x, (h.unsqueeze(0).contiguous(), c.unsqueeze(0).contiguous()))
        return out, (h.squeeze(0), c.squeeze(0))
