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
from ..scan import DecayTable
from ..straight_through import quantize_bias
from .derive import Folded, block_fracs, decays, read_columns
from .fold import exact_block, fold_block
from .formats import BlockFormats, BlockFracs, block_path
from .network import QuantizedBlock
from .norm import norm_quantizer, quantized_norm
from .observe import BlockObserver
from .output import SpikingChannels


class QuantBlock(nn.Module):
    """One block's quantizers. Its parameters belong to the float block.

    Args:
        block: the float block, whose parameters it reads.
        number: in the network.
        widths: of its tensors.
        method: of the weights' exponents.
        output: what follows its state space.
    """

    state_frac: Tensor

    def __init__(self, block: Block, number: int, widths: Widths, method: str, output: SpikingChannels) -> None:
        super().__init__()
        self._block = (block,)  # not a submodule: its parameters belong to the float model
        self.number, self.path, self.widths, self.method = number, block_path(number), widths, method
        self.output = output
        channels, modes = block.layer.kernel.A_imag.shape
        edges = {name: getattr(widths, width) for name, width in output.edges.items()}
        shapes = {"output": (channels, 2 * modes), "feedthrough": (channels, 1), "gate": (2 * channels, channels)}
        if block.norm is not None:
            edges["u" if block.placement == "pre" else "total"] = (
                widths.activation if block.placement == "pre" else widths.residual
            )
        edges["output"] = widths.residual
        self.edges = ModuleDict({name: QuantActivation(width) for name, width in edges.items()})
        self.weights = ModuleDict(
            {name: TensorQuantizer(shape, getattr(widths, name)) for name, shape in shapes.items()}
        )
        if block.norm is not None:
            self.weights["norm"] = norm_quantizer(block.norm, widths.norm)
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
            out=self.output.formats(edges),
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
        self.output.settle(self.edges)

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
        if folded.norm is not None:
            matrices["norm"] = folded.norm.multiplier[:, None]
        return {
            name: clipped(matrices[name], frac, getattr(self.widths, name))
            for name, frac in fracs_of(self.weights).items()
        }

    def quantized(self, formats: BlockFormats, frozen_scales: bool) -> QuantizedBlock:
        """Fake-quantized weights, with gradients to the float block's parameters."""
        weight = self.block.layer.output.weight
        exact, folded = self.folded(), fold_block(self.block)
        fracs = self.fracs(formats, None if frozen_scales else exact)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.asarray(values)).to(weight.device)

        norm = None
        if folded.norm is not None and fracs.norm is not None:
            norm = quantized_norm(folded.norm, fracs.norm, self.weights["norm"], *formats.normed)
        unit = torch.exp2(self.state_frac.double()).to(weight.dtype)
        columns = self.weights["output"](folded.output / unit.mT.repeat(1, 2))
        mix = self.weights["gate"](folded.mix), quantize_bias(folded.mix_bias, tensor(fracs.gate))
        return QuantizedBlock(
            formats=formats,
            norm=norm,
            unit=unit.flatten(),
            table=DecayTable(
                *(tensor(codes.astype(np.int64)).reshape(1, -1) for codes in decays(exact, formats, self.widths))
            ),
            rate=folded.rate.flatten(),
            output=columns.mT,
            feedthrough=self.weights["feedthrough"](folded.feedthrough.unsqueeze(1)).squeeze(1),
            bias=torch.zeros_like(folded.feedthrough),
            out=self.output.quantized(formats.out, mix, self.edges, self.widths, self.block.dropout),
            dropout=self.block.dropout,
            quantizers=self.edges,
        )
