"""The quantizers of one block, and its fake-quantized weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import PumiceError
from ...models.modules import ModuleDict
from ...models.spikingssm.layer import Block
from ...program.formats import Format
from ..codes import largest_frac
from ..config import Widths
from ..quantizers import UNSET, QuantActivation, TensorQuantizer, clipped, edge_format, fracs_of, set_edge, set_fracs
from ..scan import DecayTable, NeuronCodes
from ..straight_through import quantize_bias
from ..tables import FUNCTIONS, SIGMOID, lookup_table
from .derive import Folded, block_fracs, decays, leak, read_columns, threshold
from .fold import exact_block, fold_block
from .formats import BlockFormats, BlockFracs, block_path
from .network import QuantizedBlock
from .observe import BlockObserver

POTENTIAL_BITS = 7
"""Of a potential above one threshold. Single channels are driven by thousands of thresholds: a potential that clips at
128 of them fires as well, or is kept from it for as long but for a step or two."""


class QuantBlock(nn.Module):
    """One block's quantizers. Its parameters belong to the float block.

    Args:
        block: the float block, whose parameters it reads.
        number: in the network.
        widths: of its tensors.
        method: of the weights' exponents.
    """

    state_frac: Tensor

    def __init__(self, block: Block, number: int, widths: Widths, method: str) -> None:
        super().__init__()
        self._block = (block,)  # not a submodule: its parameters belong to the float model
        self.number, self.path, self.widths, self.method = number, block_path(number), widths, method
        channels, modes = block.layer.kernel.A_imag.shape
        edges = {"current": widths.potential, "y": widths.activation, "gate": widths.activation}
        shapes = {"output": (channels, 2 * modes), "feedthrough": (channels, 1), "gate": (2 * channels, channels)}
        if block.norm is not None:
            edges["u" if block.placement == "pre" else "total"] = (
                widths.activation if block.placement == "pre" else widths.residual
            )
            shapes["norm"] = (channels, 1)
        edges["output"] = widths.residual
        self.edges = ModuleDict({name: QuantActivation(width) for name, width in edges.items()})
        self.weights = ModuleDict(
            {name: TensorQuantizer(shape, getattr(widths, name)) for name, shape in shapes.items()}
        )
        self.register_buffer("state_frac", torch.full((modes, channels), UNSET, dtype=torch.int64))

    @property
    def block(self) -> Block:
        """The float block."""
        return self._block[0]

    def formats(self, input: Format) -> BlockFormats:
        """Formats of the block's edges.

        Raises:
            PumiceError: the block is not calibrated.
        """
        if (self.state_frac == UNSET).any():
            raise PumiceError(f"{self.path} is not calibrated; calibrate the model before it runs quantized")
        edges = {name: edge_format(quantizer, f"{self.path}.{name}") for name, quantizer in self.edges.items()}
        return BlockFormats(
            input=input,
            u=edges.get("u", input),
            current=edges["current"],
            potential=edges["current"],
            y=edges["y"],
            gate=edges["gate"],
            total=edges.get("total"),
            output=edges["output"],
            state_width=self.widths.state,
            state_frac=self.state_frac.cpu().numpy().astype(np.int64),
        )

    def set_formats(self, seen: BlockObserver, method: str, headroom: int) -> None:
        """Take the exponents of activations and states from what calibration saw."""
        for name, quantizer in self.edges.items():
            wide = name not in ("u", "y", "gate")
            method_of, spare = ("max", headroom) if wide else (method, 0)
            set_edge(quantizer, seen.edges[name].frac(quantizer.width, True, method_of, spare), self.path)
        highest = (1 << (self.widths.state - 1 - headroom)) - 1
        fracs = largest_frac(seen.states.largest.numpy(), highest, self.widths.state - 2)
        self.state_frac.copy_(torch.from_numpy(fracs).reshape(self.state_frac.shape))
        current = self.edges["current"]
        assert current.frac is not None
        current.frac = max(current.frac, self.widths.potential - 1 - POTENTIAL_BITS)

    def folded(self) -> Folded:
        """The folded weights as float64 arrays.

        Raises:
            PumiceError: NaN or infinite weights.
        """
        return exact_block(self.block, self.path)

    def fracs(self, formats: BlockFormats, folded: Folded | None) -> BlockFracs:
        """Exponents of the weights: of ``folded``, or, where None, those that were set before."""
        if folded is not None:
            fracs = block_fracs(folded, formats, self.widths, self.method)
            set_fracs(self.weights, fracs.by_weight())
            return fracs
        before = fracs_of(self.weights)
        return BlockFracs(before.get("norm"), before["output"], before["feedthrough"], before["gate"])

    def clipped_weights(self) -> dict[str, int]:
        """How many entries of each weight lie beyond the range of their codes, at the exponents last set."""
        folded = self.folded()
        matrices = {
            "output": read_columns(folded, self.state_frac.cpu().numpy()),
            "feedthrough": folded.feedthrough[:, None],
            "gate": folded.mix,
        }
        if folded.multiplier is not None:
            matrices["norm"] = folded.multiplier[:, None]
        return {
            name: clipped(matrices[name], frac, getattr(self.widths, name))
            for name, frac in fracs_of(self.weights).items()
        }

    def quantized(self, formats: BlockFormats, frozen_scales: bool, tau: float) -> QuantizedBlock:
        """Fake-quantized weights, with gradients to the float block's parameters."""
        weight = self.block.layer.output.weight
        exact, folded = self.folded(), fold_block(self.block)
        fracs = self.fracs(formats, None if frozen_scales else exact)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(values)).to(weight.device)

        multiplier = offset = None
        if folded.multiplier is not None and folded.offset is not None and fracs.norm is not None:
            multiplier = self.weights["norm"](folded.multiplier.unsqueeze(1)).squeeze(1)
            offset = quantize_bias(folded.offset, tensor(fracs.norm + formats.normed[0].frac))
        unit = torch.exp2(self.state_frac.double()).to(weight.dtype)
        columns = self.weights["output"](folded.output / unit.mT.repeat(1, 2))
        code, frac = leak(tau, self.widths.constant)
        ones = torch.ones_like(folded.feedthrough)
        return QuantizedBlock(
            formats=formats,
            multiplier=multiplier,
            offset=offset,
            unit=unit.flatten(),
            table=DecayTable(
                *(tensor(codes.astype(np.int64)).reshape(1, -1) for codes in decays(exact, formats, self.widths))
            ),
            rate=folded.rate.flatten(),
            output=columns.mT,
            feedthrough=self.weights["feedthrough"](folded.feedthrough.unsqueeze(1)).squeeze(1),
            bias=torch.zeros_like(ones),
            neurons=driven(ones * threshold(formats.potential) * formats.potential.scale, ones * code * 2.0**-frac),
            mix=self.weights["gate"](folded.mix),
            mix_bias=quantize_bias(folded.mix_bias, tensor(fracs.gate)),
            sigmoid=sigmoid_values(formats.gate, weight.device),
            dropout=self.block.dropout,
            quantizers=self.edges,
        )


def driven(threshold: Tensor, kept: Tensor) -> NeuronCodes:
    """Neurons that a current drives, as those of a LIF layer without synapses: (H,) each."""
    none = torch.zeros_like(kept)
    return NeuronCodes(
        recurrent=kept.new_zeros(len(kept), 0),
        threshold=threshold,
        alpha=kept,
        rise=torch.ones_like(kept),
        beta=none,
        coupling=none,
        jump=none,
    )


def sigmoid_values(gate: Format, device: torch.device) -> Tensor:
    """The sigmoid over the codes of a gate."""
    codes = lookup_table(FUNCTIONS["sigmoid"], gate, SIGMOID)
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -SIGMOID.frac)).to(device)
