"""The quantizers of the input and of a layer of neurons, and its fake-quantized weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...models.adlif.cells import SpikingCell
from ...models.modules import ModuleDict
from ...program.formats import Format
from ...program.nodes import Neurons
from ..codes import SPARE_BITS, Floats
from ..config import Widths
from ..observers import Peak
from ..quantizers import QuantActivation, clipped, edge_format, fracs_of, quantizers_of, set_edge, set_fracs
from ..scan import NeuronCodes
from ..spiking import cell_name, cell_path
from ..straight_through import quantize_bias, replace_by_codes
from .codes import cell_codes, cell_fracs, threshold_codes
from .derive import cell_node
from .fold import FoldedCell, exact_cell, fold_cell
from .formats import CellFormats, CellFracs
from .network import QuantizedCell


class QuantCell(nn.Module):
    """One layer's quantizers. Its parameters belong to the float layer.

    Args:
        cell: the float layer, whose parameters it reads.
        number: of the layer.
        widths: of its tensors.
        method: of the weights' exponents.
    """

    def __init__(self, cell: SpikingCell, number: int, widths: Widths, method: str) -> None:
        super().__init__()
        self._cell = (cell,)  # not a submodule: its parameters belong to the float model
        self.number, self.widths, self.method = number, widths, method
        matrices = {"input": cell.input.weight.shape, "recurrent": cell.recurrent.shape}
        held = {name: shape for name, shape in matrices.items() if shape[1]}  # there may be no V
        self.weights = quantizers_of(held, widths.synapses, per_row=True)
        names = fold_cell(cell).constants
        self.constant = quantizers_of(dict.fromkeys(names, (cell.hidden,)), widths.constant, per_row=False)
        self.states = ModuleDict({"potential": QuantActivation(widths.potential)})
        if cell.order != "lif":
            self.states["adaptation"] = QuantActivation(widths.adaptation)

    @property
    def cell(self) -> SpikingCell:
        """The float layer."""
        return self._cell[0]

    @property
    def path(self) -> str:
        """Its path in the model."""
        return cell_path(self.number)

    def formats(self, input: Format) -> CellFormats:
        """Formats of its edges and states.

        Raises:
            PumiceError: the layer is not calibrated.
        """
        states = {name: edge_format(quantizer, f"{self.path}.{name}") for name, quantizer in self.states.items()}
        return CellFormats(input, states["potential"], states.get("adaptation"))

    def set_formats(self, potential: Peak, adaptation: Peak, headroom: int) -> None:
        """Take the exponents of u and w from what calibration saw.

        u reaches the threshold at least, and w what one spike adds; w is no finer than what can still move a rounded u.
        A synaptic current is what calibration saw.
        """
        quantizer = self.states["potential"]
        reached = potential.at_least(self.cell.spiking.threshold)
        u_frac = set_edge(quantizer, reached.frac(quantizer.width, headroom), f"{self.path}.potential")
        if "adaptation" in self.states:
            quantizer = self.states["adaptation"]
            jump = self.folded().jump
            reached = adaptation if jump is None else adaptation.at_least(float(jump.max()))
            w_frac = reached.frac(quantizer.width, headroom)
            set_edge(quantizer, None if w_frac is None else min(w_frac, u_frac + SPARE_BITS), f"{self.path}.adaptation")

    def folded(self) -> FoldedCell[Floats]:
        """The folded weights in float64, as numpy arrays.

        Raises:
            PumiceError: NaN or infinite weights.
        """
        return exact_cell(self.cell, self.path)

    def fracs(self, formats: CellFormats, folded: FoldedCell[Floats] | None) -> CellFracs:
        """Exponents: those of ``folded``, or, where None, what was set before."""
        if folded is not None:
            fracs = cell_fracs(folded, formats, self.widths, self.method)
            set_fracs(self.weights, {"input": fracs.input, "recurrent": fracs.recurrent})
            set_fracs(self.constant, fracs.constants)
            return fracs
        weights, constants = fracs_of(self.weights), fracs_of(self.constant)
        back = weights["recurrent"] if "recurrent" in weights else weights["input"] + formats.input.frac
        return CellFracs(weights["input"], back, {name: frac.item() for name, frac in constants.items()})

    def quantized(self, formats: CellFormats, frozen_scales: bool) -> QuantizedCell:
        """Fake-quantized weights, with gradients to the float layer's parameters."""
        exact, folded = self.folded(), fold_cell(self.cell)
        fracs = self.fracs(formats, None if frozen_scales else exact)
        like, u = folded.recurrent, formats.potential
        accumulator = torch.from_numpy(np.maximum(fracs.input + formats.input.frac, fracs.recurrent))
        threshold = threshold_codes(self.cell.spiking.threshold, u, self.cell.hidden) * u.scale
        values = {name: like.new_zeros(self.cell.hidden) for name in ("beta", "coupling", "jump")}
        for name, codes in cell_codes(exact, self.cell.order, fracs, self.widths.constant).items():
            quantized = self.constant[name](folded.constants[name])
            values[name] = replace_by_codes(quantized, codes, fracs.constants[name])
        recurrent = self.weights["recurrent"](folded.recurrent) if "recurrent" in self.weights else folded.recurrent
        return QuantizedCell(
            order=self.cell.order,
            formats=formats,
            input=self.weights["input"](folded.input),
            bias=quantize_bias(folded.bias, accumulator.to(like.device)),
            codes=NeuronCodes(recurrent, torch.from_numpy(threshold).to(like), **values),
            spiking=self.cell.spiking,
        )

    def node(self, edge: str, formats: CellFormats, frozen_scales: bool) -> Neurons:
        """The node of the program.

        Raises:
            ProgramError: unstable neurons, or an intermediate that does not fit.
        """
        folded = self.folded()
        fracs = self.fracs(formats, None if frozen_scales else folded)
        spiking, name, order = self.cell.spiking, cell_name(self.number), self.cell.order
        return cell_node(name, edge, order, folded, spiking, formats, fracs, self.widths)

    def clipped_weights(self) -> dict[str, int]:
        """How many entries of W and V lie beyond the range of their codes, at the exponents last set."""
        folded, fracs = self.folded(), fracs_of(self.weights)
        return {name: clipped(getattr(folded, name), frac, self.widths.synapses) for name, frac in fracs.items()}
