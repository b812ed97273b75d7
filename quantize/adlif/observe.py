"""Calibration: the float network over every step, and what its edges and states reach."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import PumiceError
from ...models.adlif.cells import SpikingCell
from ...models.adlif.network import AdLIFNetwork
from ..constants import largest_frac
from ..program.formats import MAX_FRAC, Format
from ..twin.observe import Histogram

SPIKE_CODES = (Format(1, False, 0), Format(2, True, 0))


class Peak:
    """The largest magnitude of a state."""

    def __init__(self) -> None:
        self.largest: float | None = None

    def update(self, x: Tensor) -> None:
        """Look at values of any shape.

        Raises:
            PumiceError: values that are not finite.
        """
        if x.numel():
            largest = float(x.detach().abs().max())
            if not largest < float("inf"):
                raise PumiceError("calibration met NaN or infinity; train the model again, or clean the data")
            self.largest = max(self.largest or 0.0, largest)

    def at_least(self, value: float) -> Peak:
        """A peak that reaches ``value`` too; nothing where nothing was seen."""
        raised = Peak()
        raised.largest = None if self.largest is None else max(self.largest, value)
        return raised

    def frac(self, width: int, headroom: int) -> int | None:
        """Fractional bits for signed codes of ``width`` bits, ``headroom`` of them spare; None: nothing was seen."""
        if self.largest is None:
            return None
        highest = (1 << (width - 1 - headroom)) - 1
        return min(max(int(largest_frac(self.largest, highest, width - 2)), -MAX_FRAC), MAX_FRAC)


class InputObserver:
    """What the input reaches, and whether it consists of whole numbers."""

    def __init__(self) -> None:
        self.values = Histogram()
        self.whole = True
        self.least = self.most = 0.0

    def update(self, x: Tensor) -> None:
        """Look at inputs of any shape."""
        self.values.update(x)
        if x.numel():
            self.whole = self.whole and bool((x == x.round()).all())
            self.least, self.most = min(self.least, float(x.min())), max(self.most, float(x.max()))

    def format(self, width: int, method: str) -> Format | None:
        """The format of the input; None where nothing was seen.

        Spikes, with or without a sign, have 1 or 2 bits; other whole numbers that fit ``width`` bits are exact too.
        """
        if self.values.exponent is None:
            return None
        signed = self.least < 0
        exact = Format(width, signed, 0)
        if self.whole:
            for format in (*SPIKE_CODES, exact):
                if max(format.min, -format.max) <= self.least and self.most <= format.max:
                    return format
        return Format(width, signed, self.values.frac(width, signed, method))


class NetworkObserver:
    """What the edges and states of a network of some layers reach."""

    def __init__(self, layers: int) -> None:
        self.input = InputObserver()
        self.potentials, self.adaptations = [[Peak() for _ in range(layers)] for _ in range(2)]
        self.readout = Peak()


@torch.no_grad()
def observe(model: AdLIFNetwork, observer: NetworkObserver, inputs: Tensor, lengths: Tensor) -> Tensor:
    """Run the float network on a batch and let ``observer`` see every real step.

    Shapes: inputs (B, T, F), lengths (B,) -> the potentials of the read-out (B, T, C).
    """
    real = torch.arange(inputs.shape[1], device=inputs.device) < lengths.unsqueeze(1)
    observer.input.update(inputs[real])
    x = inputs.to(model.readout.linear.weight.dtype)
    for cell, potential, adaptation in zip(model.cells, observer.potentials, observer.adaptations, strict=True):
        assert isinstance(cell, SpikingCell)
        trace = cell.trace(x)
        potential.update(trace.u_pre[real])
        adaptation.update(trace.w[real])
        x = trace.z
    potentials, _ = model.readout.sequence(x)
    observer.readout.update(potentials[real])
    return potentials
