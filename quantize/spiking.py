"""What the QAT models of networks of spiking neurons share, whatever their arithmetic: cells, ranges, float values."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..errors import PumiceError
from ..models.adlif.cells import SpikingCell
from ..models.adlif.network import AdLIFNetwork
from ..models.scan.neurons import NeuronTrace
from ..train.data.inputs import Inputs
from .observers import InputObserver, Peak
from .qat_model import Frozen, QATModel

READOUT = "readout"
"""Name of the layer that reads the network out."""


def cell_path(number: int) -> str:
    """The path of a layer of neurons in the float model."""
    return f"cells.{number}"


def cell_name(number: int) -> str:
    """The program's name of a layer of neurons."""
    return cell_path(number).replace(".", "/")


def spiking_cells(model: AdLIFNetwork) -> list[SpikingCell]:
    """The layers of a network, all of which spike.

    Raises:
        PumiceError: they do not.
    """
    cells = [cell for cell in model.cells if isinstance(cell, SpikingCell)]
    if len(cells) < len(model.cells):
        raise PumiceError(not_spiking(model.config.cell))
    return cells


def not_spiking(cell: str) -> str:
    """Why a network of this cell cannot be quantized."""
    return f"model.cell={cell} has no spiking neurons and cannot be quantized; use lif, cuba-lif, ef-adlif or se-adlif"


def traces(model: AdLIFNetwork, x: Tensor) -> Iterator[NeuronTrace]:
    """What each layer of the float network does with the input x (B, T, F)."""
    for cell in spiking_cells(model):
        trace = cell.trace(x)
        x = trace.z
        yield trace


class SpikingObserver:
    """What the edges and states of a network of some layers reach."""

    def __init__(self, layers: int) -> None:
        self.input = InputObserver()
        paths = [cell_path(number) for number in range(layers)]
        self.potentials = [Peak(f"the potential of {path}") for path in paths]
        self.adaptations = [Peak(f"the adaptation of {path}") for path in paths]
        self.readout = Peak(f"the potential of {READOUT}")

    @torch.no_grad()
    def run(self, model: AdLIFNetwork, inputs: Inputs) -> Tensor:
        """Run the float network on a batch and look at every real step; the potentials (n, C) at these."""
        values = inputs.values
        real = torch.arange(values.shape[1], device=values.device) < inputs.lengths.unsqueeze(1)
        self.input.update(values[real])
        x = values.to(model.readout.linear.weight.dtype)
        for trace, potential, adaptation in zip(traces(model, x), self.potentials, self.adaptations, strict=True):
            potential.update(trace.u_pre[real])
            adaptation.update(trace.w[real])
            x = trace.z
        potentials = model.readout.sequence(x)[0][real]
        self.readout.update(potentials)
        return potentials


Observer = TypeVar("Observer", bound=SpikingObserver)


class SpikingQATModel(QATModel[AdLIFNetwork, Observer, Frozen], Generic[Observer, Frozen]):
    """The QAT model of an `AdLIFNetwork` whose layers all spike."""

    def observe(self, observer: Observer, inputs: Inputs) -> None:
        """See `QATModel.observe`."""
        observer.run(self.model.eval(), inputs)

    def hidden_nodes(self) -> tuple[str, ...]:
        """See `QATModel.hidden_nodes`."""
        return tuple(cell_name(number) for number in range(len(self.model.cells)))

    def float_signals(self, inputs: Inputs) -> dict[str, Tensor]:
        """See `QATModel.float_signals`."""
        x = inputs.values.to(self.model.readout.linear.weight.dtype)
        found = {name: trace.z for name, trace in zip(self.hidden_nodes(), traces(self.model, x), strict=True)}
        found[READOUT] = self.model.readout.sequence(list(found.values())[-1])[0]
        return found

    def constrain(self) -> None:
        """Bring parameters back into their ranges; called after each optimizer step."""
        self.model.constrain()

    @abstractmethod
    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C); arguments as `AdLIFNetwork.forward`."""
