"""The frozen model: codes, exponents and tables are buffers; in float64 its forward gives the program's integers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.s5.config import STEPS
from ...program.formats import Format
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
from ..operations import OwnNorm
from ..output import QuantizedOutput
from ..scan import DecayTable
from ..tracing import Recorder
from .fold import FoldedLinear, FoldedNorm
from .formats import Geometry, LayerFormats, NetworkFormats
from .network import QuantizedLayer, QuantizedNetwork, run_network
from .output import GatedOutput, frozen_gated
from .reading import frozen_batch_norm, frozen_own_norm, frozen_reading, gate_layers

FrozenOutput = Callable[[NodeTable, str, torch.device], QuantizedOutput]
HEADS = {"mean": "pool", "time": "timepool", "last": "last"}


class FrozenEventClassifier(FrozenModel[QuantizedNetwork]):
    """`EventClassifier` as an integer program computes it; see `FrozenModel`.

    Args:
        nodes: in the program's order, as `QuantEventClassifier.freeze` derives them.
        weight_us: unit of the weights of timepool.
    """

    def __init__(self, nodes: Sequence[Node], weight_us: int) -> None:
        super().__init__(nodes)
        self.weight_us = weight_us
        self.logits = nodes[-1].name

    def settings(self) -> dict[str, Any]:
        """See `FrozenModel.settings`."""
        return {"weight_us": self.weight_us}

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Logits (B, C), or (B, N, C), float64; arguments as `EventClassifier.forward`."""
        return run_network(self.quantized(), tokens, dt, lengths, pool_dt)

    def _run(self, inputs: Inputs, record: Recorder) -> Tensor:
        """The logits (B, C), or (B, N, C)."""
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
    decoder, readout = table.get(Linear, "decoder"), table.find(Readout, "readout")
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
            readout=layers[-1].formats.output if readout is None else readout.output,
        ),
        embedding=embedding,
        encoder_bias=bias,
        layers=layers,
        head=STEPS if readout is None else HEADS[readout.mode],
        all_time=readout is None or readout.mode != "time" or readout.inputs[1] != readout.inputs[2],
        decoder=weight_of(decoder, 0, device),
        decoder_bias=bias_of(decoder, device),
        logits=decoder.output,
        tick_us=table.get(GapInput, "gap").unit_us,
        weight_us=weight_us,
    )


def _quantized_layer(ssm: DiagonalSSM, table: NodeTable, output: FrozenOutput, device: torch.device) -> QuantizedLayer:
    path = ssm.name.removesuffix("/ssm")
    out = output(table, path, device)
    inner = table.find(LayerNorm, f"{path}/{out.sums}")
    sums = table.get(Linear, f"{path}/{out.sums if inner is None else 'linear'}")
    skip, state = table.find(Linear, f"{path}/skip"), table.find(EventPool, f"{path}/state")
    pool = table.find(EventPool, f"{path}/skip_pool") or table.find(EventPool, f"{path}/u_pool")
    reading, before, input, u = frozen_reading(table, path, device)
    total = table.find(Add, f"{path}/total")
    joined = table.get(Add, f"{path}/out") if total is None else total
    after, after_kind, output_format = _after(table, path, joined, device)
    shift = ssm.channel_shift
    return QuantizedLayer(
        geometry=Geometry(
            path=path.replace("/", "."),
            stride=1 if state is None else state.window,
            pooling="first" if pool is None else pool.mode,
            sampling="first" if state is None else state.mode,
            discretization=ssm.discretization,
            before=before,
            inside=None if inner is None else "layer",
            after=after_kind,
            residual=len(joined.inputs) > 1,
        ),
        formats=LayerFormats(
            input=input,
            u=u,
            out=out.formats,
            skip=None if skip is None else skip.output,
            output=output_format,
            state_width=ssm.state_width,
            state_frac=ssm.state_frac.astype(np.int64),
            read_shift=ssm.read_shift,
            linear=None if inner is None else inner.format,
            total=None if total is None else total.output,
            gates=tuple(node.output for node in gate_layers(table, path)),
        ),
        reading=reading,
        drive=values_of(np.concatenate([ssm.input_re, ssm.input_im]), shift - ssm.format.frac, device),
        drive_bias=values_of(np.concatenate([ssm.bias_re, ssm.bias_im]), shift, device),
        table=DecayTable(
            *(
                torch.from_numpy(codes.astype(np.int64)).to(device)
                for codes in (ssm.decay_re, ssm.decay_im, ssm.decay_exponent)
            )
        ),
        rate=torch.zeros(ssm.modes, dtype=torch.float64 if ssm.real else torch.complex128, device=device),
        output=weight_of(sums, 0, device),
        feedthrough=weight_of(sums, 1, device) if len(sums.inputs) > 1 else None,
        bias=bias_of(sums, device),
        out=out,
        skip=None if skip is None else _linear(skip, device),
        inside=None if inner is None else frozen_own_norm(inner, device),
        after=after,
    )


def _after(
    table: NodeTable, path: str, joined: Add, device: torch.device
) -> tuple[OwnNorm | FoldedNorm[Tensor] | None, str | None, Format]:
    """The norm behind a layer's sum, its kind, and the format of what the layer leaves."""
    own, scaled = table.find(LayerNorm, f"{path}/out"), table.find(BatchNorm, f"{path}/out")
    if own is not None:
        return frozen_own_norm(own, device), "layer", own.output
    if scaled is not None:
        return frozen_batch_norm(scaled, device), "batch", scaled.output
    return None, None, joined.output


def _linear(node: Linear, device: torch.device) -> FoldedLinear[Tensor]:
    return FoldedLinear(weight_of(node, 0, device), bias_of(node, device))
