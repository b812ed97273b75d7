"""The float models of S5 and of spiking S5 as ONNX models: the reference that an exported program is compared with.

torch's exporter writes neither complex recurrences nor compiled scans with a dynamic length, so the graph is written
from the model's parameters, event by event as ``EventClassifier.step`` computes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ....models.real_s5.classifier import RealS5Classifier
from ....models.s5.classifier import EventClassifier
from ....models.s5.config import STEPS
from ....models.s5.head import NEWEST
from ....models.s5.layer import EventLayer, SequenceLayer
from ....models.s5.norm import MaskedBatchNorm
from ....models.s5.pool import TIME_EPSILON
from ....models.spikings5.network import SpikingEventLayer
from ..event import AFTER, Carried, EventGraph
from ..graph import Graph
from ..model import finish
from ..scan import BODY_PREFIX, over_events
from ..session import Session

_FLOAT = np.dtype(np.float32)
_DOCS = {
    "token": "the event's token",
    "value": "the event's values",
    "dt": "milliseconds by which the state decays before the event",
    "pool_dt": "milliseconds, the event's weight in timepool",
    "valid": "false: there is no event, and no state changes",
    "state": "what the stream remembers; zeros at its start",
    "next": "the same after this event",
    "logits": "scores of the classes",
    "series": "scores of the classes after each event, 0 before there are any",
}


def build_float_step(model: EventClassifier[Any], class_names: Sequence[str]) -> onnx.ModelProto:
    """One event of a batch of streams in float32: ``token`` (B,) or ``value`` (B, d), ``dt`` (B,) ms, ``pool_dt`` (B,)
    ms where timepool is used, ``valid`` (B,), states in and out, ``logits`` (B, C).
    """
    return build_step(Network, model, class_names)


def build_step(kind: type[Network], model: Any, class_names: Sequence[str]) -> onnx.ModelProto:
    """One event of a batch of streams, as ``kind`` writes it."""
    graph = Graph("float_step")
    event = EventGraph(graph)
    network = kind(model, event)
    network.write_event()
    graph.output(network.write_query(event), "logits", ["batch", model.config.num_classes])
    for state in event.states:
        graph.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    return _finish(graph, network, "One event of a batch of streams, states in and states out", class_names)


def build_float_sequence(model: EventClassifier[Any], class_names: Sequence[str]) -> onnx.ModelProto:
    """Whole samples in float32, as ``EventClassifier.forward``: inputs as the step's with a length axis; both axes are
    dynamic; ``logits`` (B, C) after the last valid event, and of head "steps" ``series`` (B, L, C) after each.
    """
    return build_sequence(Network, model, class_names)


def build_sequence(kind: type[Network], model: Any, class_names: Sequence[str]) -> onnx.ModelProto:
    """Whole samples, as ``kind`` writes their events."""
    body = Graph("event", prefix=BODY_PREFIX)
    event = EventGraph(body)
    network = kind(model, event)
    network.write_event()
    each = {"series": (network.write_query(event), (model.config.num_classes,))} if network.answers else {}
    graph, final = over_events("float_sequence", body, event, each)
    graph.output(network.write_query(final), "logits", ["batch", model.config.num_classes])
    return _finish(graph, network, "Whole samples, padded and marked by valid, through a Scan over events", class_names)


def _finish(graph: Graph, network: Network, what: str, class_names: Sequence[str]) -> onnx.ModelProto:
    properties = {"class_names": json.dumps(list(class_names)), "arithmetic": "float32"}
    return finish(graph, properties, f"{what}: the float model, for reference", _DOCS, network.docs)


@dataclass(frozen=True)
class Times:
    """Intervals (B, 1) that travel from layer to layer, and the rate at which they are valid; empty: not read."""

    dt: str
    pool_dt: str
    rate: int


class Network:
    """Writes one event of a model."""

    model: Any

    def __init__(self, model: EventClassifier[Any] | RealS5Classifier, event: EventGraph) -> None:
        self.model, self.config, self.event = model, model.config, event
        self.docs: dict[str, str] = {}
        self.weighs = "timepool" in (model.config.pooling, model.config.head)
        self.rate = model.config.stride**model.config.stages
        self.answers = model.config.head == STEPS

    @property
    def graph(self) -> Graph:
        return self.event.graph

    def write_event(self) -> None:
        """Everything up to the read-out's sums. Layers of pooled rates lie in nested branches."""
        event, graph = self.event, self.graph
        event.begin(graph.input("valid", np.bool_, ["batch"]))
        graph.scope = "input"
        value = self._input()
        now = Times(self._interval("dt"), self._interval("pool_dt") if self.weighs else "", 1)
        self.pass_time(now)
        self.write_layers(self.named_layers(), value, now)

    def named_layers(self) -> list[tuple[str, Any]]:
        """The layers in order, with the names of their scopes."""
        return [
            (f"stages/{i}/layers/{j}", layer)
            for i, stage in enumerate(self.model.stages)
            for j, layer in enumerate(stage.layers)
        ]

    def pass_time(self, now: Times) -> None:
        """Take the time of an event at the full rate."""
        if self.config.head == "timepool":
            self._add("readout/time", now.pool_dt, 1, now.rate)

    def write_query(self, event: EventGraph) -> str:
        """Logits from the states after the event."""
        graph = event.graph
        graph.scope = "readout"
        total = event.after["readout/sum"]
        if self.config.head not in NEWEST:
            count = graph.cast(event.count(self.rate), _FLOAT)
            count = graph.op("Max", count, graph.like(1, count))
            divisor = count
            if self.config.head == "timepool":
                time = event.after["readout/time"]
                passed = graph.op("Greater", time, graph.like(0, time))
                divisor = graph.op("Where", passed, time, graph.op("Mul", count, graph.like(TIME_EPSILON, count)))
            total = graph.op("Div", total, divisor)
        graph.scope = "decoder"
        logits = affine_of(graph, total, self.model.decoder)
        if self.answers:  # nothing is said before the first output
            count = event.count(self.rate)
            begun = graph.op("Greater", count, graph.like(0, count))
            logits = graph.op("Where", begun, logits, graph.like(0, logits))
        return logits

    def _input(self) -> str:
        graph, model = self.graph, self.model
        if not self.config.token_input:
            value = graph.input("value", _FLOAT, ["batch", self.config.in_features])
            return affine_of(graph, value, model.encoder)
        token = graph.input("token", np.int64, ["batch"])
        column = graph.op("Unsqueeze", token, graph.constant([1], np.int64), dtype=np.int64)
        known = graph.op("Where", self.event.valid(1), column, graph.like(0, column))
        index = graph.op("Squeeze", known, graph.constant([1], np.int64), dtype=np.int64)
        return graph.op("Gather", constant_of(graph, model.embedding.weight), index, dtype=_FLOAT, axis=0)

    def _interval(self, name: str) -> str:
        graph = self.graph
        interval = graph.input(name, _FLOAT, ["batch"])
        return graph.op("Unsqueeze", interval, graph.constant([1], np.int64), dtype=_FLOAT)

    def write_layers(self, layers: Sequence[tuple[str, Any]], value: str, now: Times) -> None:
        """These layers and the read-out, from the value that they read."""
        if not layers:
            self._read_out(value, now)
            return
        (path, layer), *others = layers
        stride = layer.pool.stride
        self.graph.scope = path
        self.docs[path] = _describe(layer)
        u = normalize(self.graph, layer.norm, value)
        x = self._state_space(path, layer, u, now)
        if stride == 1:
            self.write_layers(others, self._combine(path, layer, value, u, self._read(layer, x), now.rate), now)
            return
        self._collect(path, layer, value, u, x, now)
        with self.event.when(now.rate * stride):
            self.graph.scope = path
            after = self.event.after
            pooled_x, pooled_u = self._close(path, layer)
            out = self._combine(path, layer, pooled_x, pooled_u, after[f"{path}/latched"], now.rate * stride)
            times = Times(after[f"{path}/dt"], after.get(f"{path}/pool_dt", ""), now.rate * stride)
            self.write_layers(others, out, times)

    def _state_space(self, path: str, layer: EventLayer, u: str, now: Times) -> str:
        """``x <- decay x + B u``, or ``decay (x + B u / Lambda) - B u / Lambda`` for zoh; (B, 2 P) planar."""
        graph, ssm = self.graph, layer.ssm
        with torch.no_grad():
            rates, matrix = ssm.rates(), ssm.input_matrix()
        modes = len(rates)
        drive = graph.op("MatMul", u, constant_of(graph, matrix.T))
        size = graph.op("Exp", graph.op("Mul", now.dt, constant_of(graph, rates.real)))
        angle = graph.op("Mul", now.dt, constant_of(graph, rates.imag))
        real, imaginary = (graph.op("Mul", size, graph.op(kind, angle)) for kind in ("Cos", "Sin"))
        old = self.event.open(Carried(f"{path}/x", (2 * modes,), _FLOAT))
        hold = ssm.discretization == "zoh"
        before = graph.op("Add", old, drive) if hold else old
        swapped = graph.op(
            "Gather", before, graph.constant(np.roll(np.arange(2 * modes), modes), np.int64), dtype=_FLOAT, axis=1
        )
        along = graph.op("Mul", before, graph.op("Concat", real, real, axis=1))
        across = graph.op("Mul", swapped, graph.op("Concat", graph.op("Neg", imaginary), imaginary, axis=1))
        decayed = graph.op("Add", along, across)
        new = graph.op("Sub" if hold else "Add", decayed, drive)
        return self.event.keep_unless_valid(f"{path}/x", new, now.rate)

    def _read(self, layer: EventLayer, x: str) -> str:
        with torch.no_grad():
            return self.graph.op("MatMul", x, constant_of(self.graph, layer.ssm.output_matrix().T))

    def _collect(self, path: str, layer: EventLayer, value: str, u: str, x: str, now: Times) -> None:
        """Take the event into its window."""
        event, graph, pooling = self.event, self.graph, layer.pool.pooling
        first = event.first(now.rate, layer.pool.stride)
        width = layer.ssm.B.shape[1]

        def collect(name: str, value: str, channels: int, add: bool = True) -> None:
            name = f"{path}/{name}"
            old = event.open(Carried(name, (channels,), _FLOAT))
            later = graph.op("Where", event.valid(now.rate), graph.op("Add", old, value), old) if add else old
            event.set(name, graph.op("Where", first, value, later))

        collect("latched", self._read(layer, x), len(layer.ssm.C), add=False)
        both = graph.op("Concat", value, u, axis=1)
        if pooling == "timepool":
            weight = graph.op("Add", now.pool_dt, graph.like(TIME_EPSILON, now.pool_dt))
            collect("pooled", graph.op("Mul", both, weight), 2 * width)
            collect("weight", weight, 1)
        else:
            collect("pooled", both, 2 * width, add=pooling == "avgpool")
        collect("dt", now.dt, 1)
        if now.pool_dt:
            collect("pool_dt", now.pool_dt, 1)

    def _close(self, path: str, layer: EventLayer) -> list[str]:
        """The pooled input of a complete window, before and after the norm."""
        graph, after = self.graph, self.event.after
        pooled = after[f"{path}/pooled"]
        if layer.pool.pooling == "timepool":
            pooled = graph.op("Div", pooled, after[f"{path}/weight"])
        elif layer.pool.pooling == "avgpool":
            pooled = graph.op("Div", pooled, graph.like(layer.pool.stride, pooled))
        parts = [graph.fresh("x"), graph.fresh("u")]
        return graph.ops("Split", pooled, outputs=parts, dtypes=[_FLOAT] * 2, axis=1, num_outputs=2)

    def _combine(self, path: str, layer: EventLayer, x: str, u: str, read: str, rate: int) -> str:
        """Feedthrough, what follows it, and the skip path."""
        graph, y = self.graph, self.directly(read, u, layer.ssm.D)
        if isinstance(layer, SpikingEventLayer):
            added = self._spike(path, layer, y, rate)
        else:
            gated = cast(SequenceLayer, layer)
            activated = graph.op("Relu", y) if gated.activation == "relu" else graph.op("Gelu", y, approximate="tanh")
            gate = affine_of(graph, activated, gated.gate)
            added = graph.op("Mul", y, graph.op("Sigmoid", gate))
        if not layer.residual:
            return added
        return graph.op("Add", x if layer.skip is None else affine_of(graph, x, layer.skip), added)

    def directly(self, read: str, u: str, feedthrough: Tensor | None) -> str:
        """C x + D u, from C x; without D as it is."""
        if feedthrough is None:
            return read
        if feedthrough.dim() == 1:
            direct = self.graph.op("Mul", u, constant_of(self.graph, feedthrough))
        else:
            direct = self.graph.op("MatMul", u, constant_of(self.graph, feedthrough.T))
        return self.graph.op("Add", read, direct)

    def _spike(self, path: str, layer: SpikingEventLayer, y: str, rate: int) -> str:
        """Neurons, which make a step where an event of this rate is valid, and the GLU of their spikes."""
        graph, event, width = self.graph, self.event, layer.mixing.in_features
        with torch.no_grad():
            scale = layer.scale()
        old = event.open(Carried(f"{path}/u", (width,), _FLOAT))
        current = graph.op("Mul", y, constant_of(graph, scale))
        reached = graph.op("Add", graph.op("Mul", old, graph.like(layer.neuron.tau, old)), current)
        spiked = graph.op("GreaterOrEqual", reached, graph.like(1, reached))
        event.keep_unless_valid(f"{path}/u", graph.op("Where", spiked, graph.like(0, reached), reached), rate)
        parts = [graph.fresh("y"), graph.fresh("gate")]
        mixed = affine_of(graph, graph.cast(spiked, _FLOAT), layer.mixing)
        value, gate = graph.ops("Split", mixed, outputs=parts, dtypes=[_FLOAT] * 2, axis=1, num_outputs=2)
        return graph.op("Mul", value, graph.op("Sigmoid", gate))

    def _read_out(self, value: str, now: Times) -> None:
        event, graph = self.event, self.graph
        graph.scope = "readout"
        width = self.model.decoder.in_features
        if self.config.head in NEWEST:
            event.open(Carried("readout/sum", (width,), _FLOAT))
            event.keep_unless_valid("readout/sum", value, now.rate)
            return
        if self.config.head == "timepool":
            value = graph.op("Mul", value, graph.op("Add", now.pool_dt, graph.like(TIME_EPSILON, now.pool_dt)))
        self._add("readout/sum", value, width, now.rate)

    def _add(self, name: str, value: str, channels: int, rate: int) -> None:
        old = self.event.open(Carried(name, (channels,), _FLOAT))
        self.event.keep_unless_valid(name, self.graph.op("Add", old, value), rate)


def constant_of(graph: Graph, tensor: Tensor) -> str:
    """A float32 constant."""
    return graph.constant(tensor.detach().cpu().numpy(), _FLOAT)


def affine_of(graph: Graph, tensor: str, layer: nn.Linear) -> str:
    """A linear layer."""
    product = graph.op("MatMul", tensor, constant_of(graph, layer.weight.T))
    return product if layer.bias is None else graph.op("Add", product, constant_of(graph, layer.bias))


def normalize(graph: Graph, norm: nn.Module | None, tensor: str) -> str:
    """A norm in evaluation mode, or none."""
    if norm is None:
        return tensor
    if isinstance(norm, MaskedBatchNorm):
        with torch.no_grad():
            mean, variance = norm.running_mean, norm.running_var
            scale = norm.weight * torch.rsqrt(variance + norm.eps)
            offset = norm.bias - mean * scale
        return graph.op("Add", graph.op("Mul", tensor, constant_of(graph, scale)), constant_of(graph, offset))
    plain = cast(nn.LayerNorm, norm)
    parameters = constant_of(graph, plain.weight), constant_of(graph, plain.bias)
    return graph.op("LayerNormalization", tensor, *parameters, dtype=_FLOAT, axis=-1, epsilon=float(plain.eps))


def _describe(layer: EventLayer) -> str:
    kind = "spiking S5" if isinstance(layer, SpikingEventLayer) else "S5"
    return f"{kind} layer: {layer.ssm.extra_repr()}, pooling={layer.pool.pooling}"


def float_feed(tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor) -> dict[str, np.ndarray]:
    """Inputs of the float sequence model from the arguments of ``EventClassifier.forward``."""
    return {
        "token" if tokens.dim() == 2 else "value": tokens.numpy(),
        "dt": dt.float().numpy(),
        "pool_dt": pool_dt.float().numpy(),
        "valid": np.arange(tokens.shape[1]) < lengths.numpy()[:, None],
    }


def outputs(
    session: Session,
    model: EventClassifier[Any] | RealS5Classifier,
    tokens: Tensor,
    dt: Tensor,
    lengths: Tensor,
    pool_dt: Tensor,
) -> tuple[np.ndarray, np.ndarray]:
    """The logits (B, C) in onnxruntime and in torch; of head "steps" those of all windows of all samples, (M, C)."""
    found, expected = session.run(float_feed(tokens, dt, lengths, pool_dt)), model(tokens, dt, lengths, pool_dt).numpy()
    if model.config.head != STEPS:
        return found["logits"], expected
    every = model.config.window
    real = np.arange(expected.shape[1]) < (lengths.numpy() // every)[:, None]
    return found["series"][:, every - 1 :: every][real], expected[real]
