"""The frozen model: codes, exponents and tables are buffers; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...program.nodes import DenseInput, DiagonalSSM, Embedding, EventPool, GapInput, LayerNorm, Linear, Node
from ...train.data.inputs import Inputs
from ..frozen import FrozenModel, Trace, values_of
from ..scan import DecayTable
from .formats import Geometry, LayerFormats, NetworkFormats
from .network import QuantizedLayer, QuantizedNetwork, run_network
from .ops import LayerNormTerms

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

    def trace(self, inputs: Inputs) -> tuple[Tensor, Trace]:
        """See `FrozenModel.trace`; the floats are the logits (B, C)."""
        trace: Trace = {}
        with torch.no_grad():
            logits = run_network(self.quantized(), *inputs.events(), trace=trace)
        return logits, trace

    def _derive(self, nodes: Sequence[Node], device: torch.device) -> QuantizedNetwork:
        return _quantized_network(nodes, self.weight_us, device)


def _quantized_network(nodes: Sequence[Node], weight_us: int, device: torch.device) -> QuantizedNetwork:
    by_name = {node.name: node for node in nodes}
    gap = next(node for node in nodes if isinstance(node, GapInput))
    layers = tuple(
        _quantized_layer(node.name.removesuffix("/ssm"), by_name, device)
        for node in nodes
        if isinstance(node, DiagonalSSM)
    )
    decoder, readout = by_name["decoder"], by_name["readout"]
    dense = next((node for node in nodes if isinstance(node, DenseInput)), None)
    first = by_name["embedding" if dense is None else "encoder"]
    if isinstance(first, Embedding):
        embedding, bias = values_of(first.table, first.table_frac, device), None
    else:
        embedding, bias = _weight(first, 0, device), _bias(first, device)
    return QuantizedNetwork(
        formats=NetworkFormats(
            input=None if dense is None else dense.output,
            embedded=first.output,
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
        tick_us=gap.unit_us,
        weight_us=weight_us,
    )


def _quantized_layer(path: str, by_name: dict[str, Node], device: torch.device) -> QuantizedLayer:
    def node(name: str) -> Node | None:
        return by_name.get(f"{path}/{name}")

    norm, ssm, y, gate, skip, pool = (node(name) for name in ("norm", "ssm", "y", "gate", "skip", "u_pool"))
    gelu, sigmoid = node("gelu"), node("sigmoid")
    stride, pooling = (pool.window, POOLINGS[pool.mode]) if isinstance(pool, EventPool) else (1, "last")
    formats = LayerFormats(
        input=norm.format,
        u=norm.output,
        y=y.output,
        gelu=gelu.output,
        gate=gate.output,
        skip=None if skip is None else skip.output,
        output=node("out").output,
        state_width=ssm.state_width,
        state_frac=ssm.state_frac.astype(np.int64),
        read_shift=ssm.read_shift,
    )
    layer_norm = multiplier = offset = None
    if isinstance(norm, LayerNorm):
        layer_norm = LayerNormTerms(norm.size, norm.root_shift, norm.epsilon)
    else:
        frac = norm.shift.astype(np.int64) + norm.output.frac  # of the accumulator
        multiplier = values_of(norm.multiplier, frac - norm.format.frac, device)
        offset = values_of(norm.bias, frac, device)
    shift = ssm.drive_shift
    return QuantizedLayer(
        geometry=Geometry(path.replace("/", "."), stride, pooling, ssm.discretization, False, False),
        formats=formats,
        norm=layer_norm,
        multiplier=multiplier,
        offset=offset,
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
        skip=None if skip is None else _weight(skip, 0, device),
        skip_bias=None if skip is None else _bias(skip, device),
        gelu=values_of(gelu.table, gelu.output.frac, device),
        sigmoid=values_of(sigmoid.table, sigmoid.output.frac, device),
    )


def _weight(node: Linear, operand: int, device: torch.device) -> Tensor:
    return values_of(node.weights[operand], node.weight_fracs[operand], device)


def _bias(node: Linear, device: torch.device) -> Tensor:
    return values_of(node.bias, node.accumulator_frac, device)
