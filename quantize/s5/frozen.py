"""The frozen model: codes, exponents and tables are buffers; in float64 its forward gives the program's integers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
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
    Node,
    Readout,
)
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, NodeTable, bias_of, values_of, weight_of
from ..nodes import DENSE
from ..operations import LayerNormTerms
from ..output import QuantizedOutput
from ..scan import DecayTable
from ..tracing import Recorder
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, NetworkFormats
from .network import QuantizedLayer, QuantizedNetwork, run_network
from .output import GatedOutput, frozen_gated

FrozenOutput = Callable[[NodeTable, str, torch.device], QuantizedOutput]
POOLINGS = {"first": "last", "mean": "avgpool", "time": "timepool"}
HEADS = {"mean": "pool", "time": "timepool", "last": "last"}


class FrozenEventClassifier(FrozenModel[QuantizedNetwork]):
    """`EventClassifier` as an integer program computes it; see `FrozenModel`.

    Args:
        nodes: in the program's order, as `QuantEventClassifier.freeze` derives them.
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
        """Logits (B, C), float64; arguments as `EventClassifier.forward`."""
        return run_network(self.quantized(), tokens, dt, lengths, pool_dt)

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The logits (B, C)."""
        return run_network(self.quantized(), *inputs.events(), record=record)

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        return _quantized_network(nodes, self.output, self.weight_us, device)

    @staticmethod
    @abstractmethod
    def output(table: NodeTable, path: str, device: torch.device) -> QuantizedOutput:
        """What follows the state space of the layer at ``path``, from its nodes."""


class FrozenS5Classifier(FrozenEventClassifier):
    """`S5Classifier` as an integer program computes it."""

    @staticmethod
    def output(table: NodeTable, path: str, device: torch.device) -> GatedOutput:
        """See `FrozenEventClassifier.output`."""
        return frozen_gated(table, path, device)


def _quantized_network(
    nodes: Sequence[Node], output: FrozenOutput, weight_us: int, device: torch.device
) -> QuantizedNetwork:
    table = NodeTable(nodes)
    layers = tuple(_quantized_layer(node, table, output, device) for node in nodes if isinstance(node, DiagonalSSM))
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
        decoder=weight_of(decoder, 0, device),
        decoder_bias=bias_of(decoder, device),
        logits=decoder.output,
        tick_us=table.get(GapInput, "gap").unit_us,
        weight_us=weight_us,
    )


def _quantized_layer(ssm: DiagonalSSM, table: NodeTable, output: FrozenOutput, device: torch.device) -> QuantizedLayer:
    path = ssm.name.removesuffix("/ssm")
    out = output(table, path, device)
    sums = table.get(Linear, f"{path}/{out.sums}")
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
            out=out.formats,
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
        output=weight_of(sums, 0, device),
        feedthrough=weight_of(sums, 1, device),
        bias=bias_of(sums, device),
        out=out,
        skip=None if skip is None else _linear(skip, device),
    )


def _linear(node: Linear, device: torch.device) -> FoldedLinear[Tensor]:
    return FoldedLinear(weight_of(node, 0, device), bias_of(node, device))
