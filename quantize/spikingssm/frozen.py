"""The frozen QAT model of a spiking state-space network; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program.nodes import Add, BatchNorm, ChannelSSM, DenseInput, DrivenLIF, Linear, Lookup, Node, Readout
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable, values_of
from ..nodes import DENSE
from ..scan import DecayTable
from ..tracing import Recorder
from .block import driven
from .formats import BlockFormats, NetworkFormats
from .network import QuantizedBlock, QuantizedNetwork, run_network
from .outputs import labelled_lengths, one_stretch


class FrozenSpikingSSM(FrozenModel[QuantizedNetwork]):
    """`SpikingSSM` as an integer program computes it; see `FrozenModel`.

    Args:
        nodes: in the program's order, as `QuantSpikingSSM.freeze` derives them.
    """

    logits = "decoder"

    def settings(self) -> dict[str, Any]:
        """See `FrozenModel.settings`."""
        return {}

    def forward(self, inputs: Tensor, blocks: Tensor, count: int) -> Tensor:
        """Logits (B, N, C), float64; arguments as `SpikingSSM.forward`."""
        return one_stretch(run_network(self.quantized(), inputs, labelled_lengths(blocks, count)), count)

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The logits (B, C)."""
        return run_network(self.quantized(), inputs.values, inputs.lengths, record=record)

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        table = NodeTable(nodes)
        encoder, decoder = table.get(Linear, "encoder"), table.get(Linear, "decoder")
        blocks = tuple(_quantized_block(node, table, device) for node in nodes if isinstance(node, ChannelSSM))
        return QuantizedNetwork(
            formats=NetworkFormats(
                input=table.get(DenseInput, DENSE).output,
                embedded=encoder.output,
                blocks=tuple(block.formats for block in blocks),
                readout=table.get(Readout, "readout").output,
            ),
            encoder=_weight(encoder, device),
            encoder_bias=_bias(encoder, device),
            blocks=blocks,
            decoder=_weight(decoder, device),
            decoder_bias=_bias(decoder, device),
            logits=decoder.output,
        )


def _quantized_block(ssm: ChannelSSM, table: NodeTable, device: torch.device) -> QuantizedBlock:
    path = ssm.name.removesuffix("/ssm")
    y, gate = table.get(Linear, f"{path}/y"), table.get(Linear, f"{path}/gate")
    sigmoid, neurons = table.get(Lookup, f"{path}/sigmoid"), table.get(DrivenLIF, f"{path}/neurons")
    before, after = table.find(BatchNorm, f"{path}/norm"), table.find(BatchNorm, f"{path}/out")
    total = table.find(Add, f"{path}/total")
    norm, multiplier, offset = before or after, None, None
    if norm is not None:
        frac = norm.shift.astype(np.int64) + norm.output.frac  # of the accumulator
        multiplier = values_of(norm.multiplier, frac - norm.format.frac, device)
        offset = values_of(norm.bias, frac, device)
    added = total or table.get(Add, f"{path}/out")
    columns = np.concatenate([ssm.output_re, ssm.output_im]).T
    return QuantizedBlock(
        formats=BlockFormats(
            input=added.formats[0],
            u=ssm.format,
            current=ssm.output,
            potential=neurons.potential,
            y=y.output,
            gate=gate.output,
            total=None if total is None else total.output,
            output=added.output if after is None else after.output,
            state_width=ssm.state_width,
            state_frac=ssm.state_frac.astype(np.int64),
        ),
        multiplier=multiplier,
        offset=offset,
        unit=torch.from_numpy(np.ldexp(1.0, ssm.state_frac.astype(np.int64))).flatten().to(device),
        table=DecayTable(
            *(
                torch.from_numpy(codes.astype(np.int64)).reshape(1, -1).to(device)
                for codes in (ssm.decay_re, ssm.decay_im, ssm.decay_exponent)
            )
        ),
        rate=torch.zeros(ssm.modes * ssm.channels, dtype=torch.complex128, device=device),
        output=values_of(columns, ssm.output_frac, device).mT,
        feedthrough=values_of(ssm.feedthrough, ssm.feedthrough_frac, device),
        bias=values_of(ssm.bias, ssm.accumulator_frac, device),
        neurons=driven(
            values_of(neurons.threshold, neurons.potential.frac, device),
            values_of(neurons.alpha, neurons.alpha_frac, device),
        ),
        mix=torch.cat([_weight(node, device) for node in (y, gate)]),
        mix_bias=torch.cat([_bias(node, device) for node in (y, gate)]),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )


def _weight(node: Linear, device: torch.device) -> Tensor:
    return values_of(node.weights[0], node.weight_fracs[0], device)


def _bias(node: Linear, device: torch.device) -> Tensor:
    return values_of(node.bias, node.accumulator_frac, device)
