"""The frozen model: codes, exponents and tables are buffers; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program.nodes import (
    Add,
    BatchNorm,
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    LayerNorm,
    Linear,
    Lookup,
    Node,
    Readout,
)
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable, values_of
from ..nodes import DENSE
from ..operations import LayerNormTerms
from ..scan import DecayTable
from ..tracing import Recorder
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, NetworkFormats
from .network import QuantizedLayer, QuantizedNetwork, run_network

POOLINGS = {"first": "last", "mean": "avgpool", "time": "timepool"}
HEADS = {"mean": "pool", "time": "timepool", "last": "last"}


class FrozenS5Classifier(FrozenModel[QuantizedNetwork]):
    """`S5Classifier` as an integer program computes it; see `FrozenModel`.

    Args:
        nodes: in the program's order, as `QuantS5Classifier.freeze` derives them.
        weight_us: unit of the weights of timepool.
    """

    logits = "decoder"

    def __init__(self, nodes: Sequence[Node], weight_us: int) -> None:
        super().__init__(nodes)
        self.weight_us = weight_us

    def settings(self) -> dict[str, Any]:
        """See `FrozenModel.settings`."""
        return {"weight_us": self.weight_us}

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Logits (B, C), float64; arguments as `S5Classifier.forward`."""
        return run_network(self.quantized(), tokens, dt, lengths, pool_dt)

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The logits (B, C)."""
        return run_network(self.quantized(), *inputs.events(), record=record)

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        return _quantized_network(nodes, self.weight_us, device)


def _quantized_network(nodes: Sequence[Node], weight_us: int, device: torch.device) -> QuantizedNetwork:
    table = NodeTable(nodes)
    layers = tuple(_quantized_layer(node, table, device) for node in nodes if isinstance(node, DiagonalSSM))
    decoder, readout = table.get(Linear, "decoder"), table.get(Readout, "readout")
    dense, tokens = table.find(DenseInput, DENSE), table.find(Embedding, "embedding")
    if tokens is not None:
        embedded = tokens.output
        embedding, bias = values_of(tokens.table, tokens.table_frac, device), None
    else:
        encoder = table.get(Linear, "encoder")
        embedded = encoder.output
        embedding, bias = _linear(encoder, device)
    return QuantizedNetwork(
        formats=NetworkFormats(
            input=None if dense is None else dense.output,
            embedded=embedded,
            layers=tuple(layer.formats for layer in layers),
            readout=readout.output,
        ),
        embedding=embedding,
        encoder_bias=bias,
        layers=layers,
        head=HEADS[readout.mode],
        decoder=_weight(decoder, 0, device),
        decoder_bias=_bias(decoder, device),
        logits=decoder.output,
        tick_us=table.get(GapInput, "gap").unit_us,
        weight_us=weight_us,
    )


def _quantized_layer(ssm: DiagonalSSM, table: NodeTable, device: torch.device) -> QuantizedLayer:
    path = ssm.name.removesuffix("/ssm")
    y, gate = table.get(Linear, f"{path}/y"), table.get(Linear, f"{path}/gate")
    gelu, sigmoid = table.get(Lookup, f"{path}/gelu"), table.get(Lookup, f"{path}/sigmoid")
    skip, pool = table.find(Linear, f"{path}/skip"), table.find(EventPool, f"{path}/u_pool")
    source = table.find(LayerNorm, f"{path}/norm") or table.get(BatchNorm, f"{path}/norm")
    norm: LayerNormTerms | FoldedNorm[Tensor]
    if isinstance(source, LayerNorm):
        norm = LayerNormTerms(source.size, source.root_shift, source.epsilon)
    else:
        frac = source.shift.astype(np.int64) + source.output.frac  # of the accumulator
        multiplier = values_of(source.multiplier, frac - source.format.frac, device)
        norm = FoldedNorm(multiplier, values_of(source.bias, frac, device))
    stride, pooling = (1, "last") if pool is None else (pool.window, POOLINGS[pool.mode])
    shift = ssm.drive_shift
    return QuantizedLayer(
        geometry=Geometry(path.replace("/", "."), stride, pooling, ssm.discretization, False, False),
        formats=LayerFormats(
            input=source.format,
            u=source.output,
            y=y.output,
            gelu=gelu.output,
            gate=gate.output,
            skip=None if skip is None else skip.output,
            output=table.get(Add, f"{path}/out").output,
            state_width=ssm.state_width,
            state_frac=ssm.state_frac.astype(np.int64),
            read_shift=ssm.read_shift,
        ),
        norm=norm,
        drive=torch.cat([values_of(codes, shift - ssm.format.frac, device) for codes in (ssm.input_re, ssm.input_im)]),
        drive_bias=torch.cat([values_of(codes, shift, device) for codes in (ssm.bias_re, ssm.bias_im)]),
        table=DecayTable(
            *(
                torch.from_numpy(codes.astype(np.int64)).to(device)
                for codes in (ssm.decay_re, ssm.decay_im, ssm.decay_exponent)
            )
        ),
        rate=torch.zeros(ssm.modes, dtype=torch.complex128, device=device),
        output=_weight(y, 0, device),
        feedthrough=_weight(y, 1, device),
        bias=_bias(y, device),
        gate=_weight(gate, 0, device),
        gate_bias=_bias(gate, device),
        skip=None if skip is None else _linear(skip, device),
        gelu=values_of(gelu.table, gelu.output.frac, device),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )


def _linear(node: Linear, device: torch.device) -> FoldedLinear[Tensor]:
    return FoldedLinear(_weight(node, 0, device), _bias(node, device))


def _weight(node: Linear, operand: int, device: torch.device) -> Tensor:
    return values_of(node.weights[operand], node.weight_fracs[operand], device)


def _bias(node: Linear, device: torch.device) -> Tensor:
    return values_of(node.bias, node.accumulator_frac, device)
