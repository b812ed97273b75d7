"""The quantizers of the leaky integrators that read a network out, and their fake-quantized weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...models.adlif.readout import LeakyIntegrator
from ...program.formats import Format
from ...program.nodes import SPIKES
from ...program.nodes import LeakyIntegrator as LeakyIntegratorNode
from ..codes import Floats
from ..config import Widths
from ..observers import Peak
from ..quantizers import QuantActivation, clipped, edge_format, fracs_of, quantizers_of, set_edge, set_fracs
from ..spiking import READOUT
from ..straight_through import quantize_bias, replace_by_codes
from .codes import decay_codes, readout_fracs
from .derive import integrator_node
from .fold import FoldedReadout, exact_readout, fold_readout
from .formats import ReadoutFracs


class QuantReadout(nn.Module):
    """The quantizers of the leaky integrators. Its parameters belong to the float read-out.

    Args:
        readout: the float read-out, whose parameters it reads.
        widths: of its tensors.
        method: of the weights' exponents.
    """

    path = READOUT

    def __init__(self, readout: LeakyIntegrator, widths: Widths, method: str) -> None:
        super().__init__()
        self._readout = (readout,)  # not a submodule: its parameters belong to the float model
        self.widths, self.method = widths, method
        self.weights = quantizers_of({"weight": readout.linear.weight.shape}, widths.decoder, per_row=True)
        self.constant = quantizers_of({"decay": (readout.linear.out_features,)}, widths.constant, per_row=False)
        self.potential = QuantActivation(widths.residual)

    @property
    def readout(self) -> LeakyIntegrator:
        """The float read-out."""
        return self._readout[0]

    @property
    def format(self) -> Format:
        """Format of the potentials.

        Raises:
            PumiceError: the read-out is not calibrated.
        """
        return edge_format(self.potential, self.path)

    def set_format(self, seen: Peak, headroom: int) -> None:
        """Take the exponent of the potentials from what calibration saw; they hold what one spike adds at least."""
        seen = seen.at_least(float(np.abs(exact_readout(self.readout, self.path).weight).max()))
        set_edge(self.potential, seen.frac(self.potential.width, headroom), self.path)

    def quantized(self, frozen_scales: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Fake-quantized weight (C, H), bias (C,) and decay (C,), with gradients to the float read-out's parameters."""
        exact, folded = exact_readout(self.readout, self.path), fold_readout(self.readout)
        fracs = self._fracs(None if frozen_scales else exact)
        accumulator = torch.from_numpy(np.maximum(fracs.weight + SPIKES.frac, fracs.decay + self.format.frac))
        codes = decay_codes(exact.decay, fracs.decay, self.widths.constant)
        decay = replace_by_codes(self.constant["decay"](folded.decay), codes, fracs.decay)
        bias = quantize_bias(folded.bias, accumulator.to(folded.bias.device))
        return self.weights["weight"](folded.weight), bias, decay

    def node(self, edge: str, frozen_scales: bool) -> LeakyIntegratorNode:
        """The node of the program.

        Raises:
            ProgramError: an intermediate that does not fit.
        """
        folded = exact_readout(self.readout, self.path)
        return integrator_node(edge, folded, self.format, self._fracs(None if frozen_scales else folded), self.widths)

    def clipped_weights(self) -> dict[str, int]:
        """How many entries of W_o lie beyond the range of their codes, at the exponents last set."""
        weight = exact_readout(self.readout, self.path).weight
        return {"weight": clipped(weight, fracs_of(self.weights)["weight"], self.widths.decoder)}

    def _fracs(self, folded: FoldedReadout[Floats] | None) -> ReadoutFracs:
        if folded is not None:
            fracs = readout_fracs(folded, self.format, self.widths, self.method)
            set_fracs(self.weights, {"weight": fracs.weight})
            set_fracs(self.constant, {"decay": fracs.decay})
            return fracs
        return ReadoutFracs(fracs_of(self.weights)["weight"], fracs_of(self.constant)["decay"].item())
