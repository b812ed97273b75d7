"""The float models of S5 with real decays as ONNX models, event by event as ``RealS5Classifier.step`` computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch

from ....errors import PumiceError
from ....models.real_s5.classifier import RealS5Classifier
from ....models.real_s5.layer import RealS5Layer
from ....models.s5.pool import TIME_EPSILON
from ..event import Carried, EventGraph
from .s5 import Network, Times, affine_of, build_sequence, build_step, constant_of, normalize

_FLOAT = np.dtype(np.float32)


def build_float_step(model: RealS5Classifier, class_names: Sequence[str]) -> onnx.ModelProto:
    """One event of a batch of streams; see `s5.build_float_step`."""
    return build_step(RealNetwork, model, class_names)


def build_float_sequence(model: RealS5Classifier, class_names: Sequence[str]) -> onnx.ModelProto:
    """Whole samples; see `s5.build_float_sequence`. The recurrence is the exact one."""
    return build_sequence(RealNetwork, model, class_names)


class RealNetwork(Network):
    """Writes one event of a model with real decays."""

    model: RealS5Classifier

    def __init__(self, model: RealS5Classifier, event: EventGraph) -> None:
        if model.config.recurrence != "exact":
            raise PumiceError(
                f"model.recurrence={model.config.recurrence} has no form in ONNX, event by event; set "
                "model.recurrence=exact"
            )
        super().__init__(model, event)

    def named_layers(self) -> list[tuple[str, Any]]:
        """See `Network.named_layers`."""
        return [(f"layers/{number}", layer) for number, layer in enumerate(self.model.layers)]

    def pass_time(self, now: Times) -> None:
        """See `Network.pass_time`: the time of complete windows arrives with their values."""

    def write_query(self, event: EventGraph) -> str:
        """Logits from the states after the event."""
        graph = event.graph
        graph.scope = "readout"
        total = event.after["readout/sum"]
        if self.config.head != "last":
            weight = event.after["readout/weight"]
            seen = graph.op("Greater", weight, graph.like(0, weight))
            total = graph.op("Div", total, graph.op("Where", seen, weight, graph.like(1, weight)))
        graph.scope = "decoder"
        return affine_of(graph, total, self.model.decoder)

    def write_layers(self, layers: Sequence[tuple[str, Any]], value: str, now: Times) -> None:
        """See `Network.write_layers`."""
        if not layers:
            self._take(value, now)
            return
        (path, layer), *others = layers
        graph, event, stride = self.graph, self.event, layer.pool.stride
        graph.scope = path
        self.docs[path] = f"S5 layer with real decays: {layer.ssm.extra_repr()}, pooling={layer.pool.pooling}"
        u = self._gated_input(layer, value)
        y = self._output(layer, self._state(path, layer, u, now), u)
        if stride == 1:
            self.write_layers(others, self._combine_real(layer, value, y), now)
            return
        parts = {"pooled_x": value, "pooled_y": y}
        self._pool(path, layer, parts, now)
        with event.when(now.rate * stride):
            graph.scope = path
            after, pooling = event.after, layer.pool.pooling
            pooled = {name: after[f"{path}/{name}"] for name in parts}
            if pooling != "last":
                weight = after[f"{path}/weight"]
                pooled = {name: graph.op("Div", part, weight) for name, part in pooled.items()}
            out = self._combine_real(layer, pooled["pooled_x"], pooled["pooled_y"])
            times = Times(after[f"{path}/dt"], after.get(f"{path}/pool_dt", ""), now.rate * stride)
            self.write_layers(others, out, times)

    def _gated_input(self, layer: RealS5Layer, value: str) -> str:
        gate = value
        if layer.input_gate is None:
            return value
        for module in layer.gate_layers():
            gate = affine_of(self.graph, gate, module)
        return self.graph.op("Mul", value, self.graph.op("Sigmoid", gate))

    def _state(self, path: str, layer: RealS5Layer, u: str, now: Times) -> str:
        """``x <- decay x + B u``, or ``decay (x + B u / Lambda) - B u / Lambda`` for zoh; (B, P)."""
        graph, ssm = self.graph, layer.ssm
        with torch.no_grad():
            rates, matrix = ssm.rates(), ssm.input_matrix()
        drive = graph.op("MatMul", u, constant_of(graph, matrix.T))
        decay = graph.op("Exp", graph.op("Mul", now.dt, constant_of(graph, rates)))
        old = self.event.open(Carried(f"{path}/x", (len(rates),), _FLOAT))
        hold = ssm.config.discretization == "zoh"
        decayed = graph.op("Mul", graph.op("Add", old, drive) if hold else old, decay)
        return self.event.keep_unless_valid(f"{path}/x", graph.op("Sub" if hold else "Add", decayed, drive), now.rate)

    def _output(self, layer: RealS5Layer, x: str, u: str) -> str:
        read = self.graph.op("MatMul", x, constant_of(self.graph, layer.ssm.C.T))
        return self.directly(read, u, layer.ssm.D)

    def _pool(self, path: str, layer: RealS5Layer, parts: dict[str, str], now: Times) -> None:
        """Take the event into its window."""
        event, graph, pooling = self.event, self.graph, layer.pool.pooling
        first = event.first(now.rate, layer.pool.stride)
        outputs, inputs = len(layer.ssm.C), layer.ssm.B.shape[1]

        def collect(name: str, value: str, channels: int, add: bool = True) -> None:
            old = event.open(Carried(f"{path}/{name}", (channels,), _FLOAT))
            later = graph.op("Where", event.valid(now.rate), graph.op("Add", old, value) if add else value, old)
            event.set(f"{path}/{name}", graph.op("Where", first, value, later))

        if pooling != "last":
            weight = graph.like(1, now.dt)
            if pooling == "timepool":
                weight = graph.op("Add", now.pool_dt, graph.like(TIME_EPSILON, now.pool_dt))
            parts = {name: graph.op("Mul", part, weight) for name, part in parts.items()}
            collect("weight", weight, 1)
        collect("pooled_x", parts["pooled_x"], inputs, add=pooling != "last")
        collect("pooled_y", parts["pooled_y"], outputs, add=pooling != "last")
        collect("dt", now.dt, 1)
        if now.pool_dt:
            collect("pool_dt", now.pool_dt, 1)

    def _combine_real(self, layer: RealS5Layer, x: str, y: str) -> str:
        """Norm, activation, gate and the skip path."""
        graph, inside = self.graph, layer.config.norm_place == "inside"
        y = normalize(graph, layer.norm, y) if inside else y
        activated = graph.op("Relu", y) if layer.config.activation == "relu" else graph.op("Gelu", y)
        out = graph.op("Mul", y, graph.op("Sigmoid", affine_of(graph, activated, layer.gate)))
        if layer.config.residual:
            out = graph.op("Add", x if layer.skip is None else affine_of(graph, x, layer.skip), out)
        return out if inside else normalize(graph, layer.norm, out)

    def _take(self, value: str, now: Times) -> None:
        """Take an output of the last layer into the read-out."""
        event, graph, head = self.event, self.graph, self.config.head
        graph.scope = "readout"
        old = event.open(Carried("readout/sum", (self.model.decoder.in_features,), _FLOAT))
        if head == "last":
            event.keep_unless_valid("readout/sum", value, now.rate)
            return
        sums = event.open(Carried("readout/weight", (1,), _FLOAT))
        if head == "attnpool" and self.model.attention is not None:
            score = affine_of(graph, value, self.model.attention)
            before = event.open(Carried("readout/peak", (1,), _FLOAT))
            begun = graph.op("Greater", sums, graph.like(0, sums))
            peak = graph.op("Where", begun, graph.op("Max", before, score), score)
            kept = graph.op("Exp", graph.op("Sub", graph.op("Where", begun, before, peak), peak))
            weight = graph.op("Exp", graph.op("Sub", score, peak))
            event.keep_unless_valid("readout/peak", peak, now.rate)
            old, sums = graph.op("Mul", old, kept), graph.op("Mul", sums, kept)
        elif head == "timepool":
            weight = graph.op("Add", now.pool_dt, graph.like(TIME_EPSILON, now.pool_dt))
        else:
            weight = graph.like(1, sums)
        event.keep_unless_valid("readout/weight", graph.op("Add", sums, weight), now.rate)
        event.keep_unless_valid("readout/sum", graph.op("Add", old, graph.op("Mul", value, weight)), now.rate)
