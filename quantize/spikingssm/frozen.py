"""The frozen QAT model of a spiking state-space network; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program.nodes import Add, ChannelSSM, DenseInput, Embedding, Linear, Node, Readout
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable, bias_of, values_of, weight_of
from ..nodes import DENSE
from ..scan import DecayTable
from ..spiking_output import frozen_spiking
from ..tracing import Recorder
from .formats import BlockFormats, NetworkFormats
from .network import QuantizedBlock, QuantizedNetwork, run_network
from .norm import frozen_norm
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
        decoder, tokens = table.get(Linear, "decoder"), table.find(Embedding, "embedding")
        if tokens is None:
            linear = table.get(Linear, "encoder")
            encoder, bias, embedded = weight_of(linear, 0, device), bias_of(linear, device), linear.output
        else:
            encoder, bias, embedded = values_of(tokens.table, tokens.table_frac, device), None, tokens.output
        blocks = tuple(_quantized_block(node, table, device) for node in nodes if isinstance(node, ChannelSSM))
        return QuantizedNetwork(
            formats=NetworkFormats(
                input=table.get(DenseInput, DENSE).output if tokens is None else None,
                embedded=embedded,
                blocks=tuple(block.formats for block in blocks),
                readout=table.get(Readout, "readout").output,
            ),
            encoder=encoder,
            encoder_bias=bias,
            blocks=blocks,
            decoder=weight_of(decoder, 0, device),
            decoder_bias=bias_of(decoder, device),
            logits=decoder.output,
        )


def _quantized_block(ssm: ChannelSSM, table: NodeTable, device: torch.device) -> QuantizedBlock:
    path = ssm.name.removesuffix("/ssm")
    out = frozen_spiking(table, path, device)
    before, after = (frozen_norm(table, f"{path}/{name}", device) for name in ("norm", "out"))
    total = table.find(Add, f"{path}/total")
    added = total or table.get(Add, f"{path}/out")
    columns = np.concatenate([ssm.output_re, ssm.output_im]).T
    return QuantizedBlock(
        formats=BlockFormats(
            input=added.formats[0],
            u=ssm.format,
            out=out.formats,
            total=None if total is None else total.output,
            output=added.output if after is None else after.written,
            state_width=ssm.state_width,
            state_frac=ssm.state_frac.astype(np.int64),
        ),
        norm=before or after,
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
        out=out,
    )
