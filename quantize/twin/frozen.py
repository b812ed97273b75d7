"""The frozen twin: codes, exponents and tables are buffers; in float64 its forward gives the program's integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..formats import Geometry, LayerFormats, NetworkFormats
from ..program.nodes import (
    DenseInput,
    DiagonalSSM,
    Embedding,
    EventPool,
    GapInput,
    LayerNorm,
    Linear,
    Node,
)
from ..scan import DecayTable
from .network import LayerConstants, NetworkConstants, Trace, run_network
from .ops import LayerNormConstants

POOLINGS = {"first": "last", "mean": "avgpool", "time": "timepool"}
HEADS = {"mean": "pool", "time": "timepool", "last": "last"}


class FrozenS5Classifier(nn.Module):
    """`S5Classifier` as an integer program computes it.

    Every array of every node is a buffer; the state dict is all that the forward pass reads. Evaluate in float64
    (``double()``, the default here): float32 is not exact.

    Args:
        nodes: in the program's order, as `QuantS5Classifier.freeze` derives them.
        weight_us: unit of the weights of timepool.
    """

    def __init__(self, nodes: Sequence[Node], weight_us: int) -> None:
        super().__init__()
        self._nodes = tuple(nodes)
        self.weight_us = weight_us
        for node in nodes:
            for field, array in _arrays(node):
                self.register_buffer(_key(node, field), torch.from_numpy(np.array(array)))
        self._constants: NetworkConstants | None = None

    def nodes(self) -> tuple[Node, ...]:
        """The nodes, with the arrays that the buffers hold now."""
        return tuple(self._restored(node) for node in self._nodes)

    def forward(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        """Logits (B, C), float64; arguments as `S5Classifier.forward`."""
        return run_network(self.constants(), tokens, dt, lengths, pool_dt)

    def trace(
        self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None
    ) -> tuple[Tensor, Trace]:
        """Logits, and the int64 codes of every node and state; see `run_network`."""
        trace: Trace = {}
        with torch.no_grad():
            logits = run_network(self.constants(), tokens, dt, lengths, pool_dt, trace=trace)
        return logits, trace

    def constants(self) -> NetworkConstants:
        """The values of the buffers' codes; computed anew after loading or moving to another device."""
        device = next(self.buffers()).device
        if self._constants is None or self._constants.decoder.device != device:
            self._constants = _network_constants(self.nodes(), self.weight_us, device)
        return self._constants

    def load_state_dict(self, *args, **kwargs):
        """Load buffers; shapes must be those of the nodes."""
        self._constants = None
        return super().load_state_dict(*args, **kwargs)

    def _restored(self, node: Node) -> Node:
        changed: dict[str, object] = {}
        for field, array in _arrays(node):
            value = self.get_buffer(_key(node, field)).cpu().numpy().astype(array.dtype)
            if isinstance(getattr(node, field.partition(".")[0]), tuple):
                name = field.partition(".")[0]
                changed[name] = (*changed.get(name, ()), value)
            else:
                changed[field] = value
        return replace(node, **changed)


def _arrays(node: Node) -> list[tuple[str, NDArray[np.integer]]]:
    """(field, array) of a node; the entries of a tuple of arrays as ``field.0``, ``field.1``."""
    found = []
    for item in fields(node):
        value = getattr(node, item.name)
        if isinstance(value, np.ndarray):
            found.append((item.name, value))
        elif isinstance(value, tuple):
            found += [(f"{item.name}.{i}", part) for i, part in enumerate(value) if isinstance(part, np.ndarray)]
    return found


def _key(node: Node, field: str) -> str:
    return f"{node.name}:{field}".replace(".", "/")


def _network_constants(nodes: Sequence[Node], weight_us: int, device: torch.device) -> NetworkConstants:
    by_name = {node.name: node for node in nodes}
    gap = next(node for node in nodes if isinstance(node, GapInput))
    layers = tuple(
        _layer_constants(node.name.removesuffix("/ssm"), by_name, device)
        for node in nodes
        if isinstance(node, DiagonalSSM)
    )
    decoder, readout = by_name["decoder"], by_name["readout"]
    dense = next((node for node in nodes if isinstance(node, DenseInput)), None)
    first = by_name["embedding" if dense is None else "encoder"]
    if isinstance(first, Embedding):
        embedding, bias = _tensor(first.table, first.table_frac, device), None
    else:
        embedding, bias = _weight(first, 0, device), _bias(first, device)
    return NetworkConstants(
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


def _layer_constants(path: str, by_name: dict[str, Node], device: torch.device) -> LayerConstants:
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
        layer_norm = LayerNormConstants(norm.size, norm.root_shift, norm.epsilon)
    else:
        frac = norm.shift.astype(np.int64) + norm.output.frac  # of the accumulator
        multiplier = _tensor(norm.multiplier, frac - norm.format.frac, device)
        offset = _tensor(norm.bias, frac, device)
    shift = ssm.drive_shift
    return LayerConstants(
        geometry=Geometry(path.replace("/", "."), stride, pooling, ssm.discretization, False, False),
        formats=formats,
        norm=layer_norm,
        multiplier=multiplier,
        offset=offset,
        drive=torch.cat([_tensor(codes, shift - ssm.format.frac, device) for codes in (ssm.input_re, ssm.input_im)]),
        drive_bias=torch.cat([_tensor(codes, shift, device) for codes in (ssm.bias_re, ssm.bias_im)]),
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
        gelu=_tensor(gelu.table, gelu.output.frac, device),
        sigmoid=_tensor(sigmoid.table, sigmoid.output.frac, device),
    )


def _tensor(codes: NDArray[np.integer], frac: NDArray[np.integer] | int, device: torch.device) -> Tensor:
    """Values of codes whose first axis is that of ``frac``; exact in float64."""
    frac = np.asarray(frac, dtype=np.int64)
    shaped = frac.reshape(frac.shape + (1,) * (codes.ndim - frac.ndim))
    return torch.from_numpy(np.ldexp(codes.astype(np.float64), -shaped)).to(device)


def _weight(node: Linear, operand: int, device: torch.device) -> Tensor:
    return _tensor(node.weights[operand], node.weight_fracs[operand], device)


def _bias(node: Linear, device: torch.device) -> Tensor:
    return _tensor(node.bias, node.accumulator_frac, device)
