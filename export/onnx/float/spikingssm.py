"""The float model of a spiking state-space network as an ONNX model, step by step as ``SpikingSSM.step`` computes."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from torch import Tensor

from ....errors import PumiceError
from ....models.spikingssm.layer import Block
from ....models.spikingssm.network import SpikingSSM
from ....models.spikingssm.norm import ChannelBatchNorm, ChannelNorm
from ..event import AFTER, Carried, EventGraph
from ..graph import Graph
from ..model import finish
from ..scan import BODY_PREFIX, over_events
from ..session import Session
from .steps import affine, constant, dtype_of, float_feed

_DOCS = {
    "token": "the step's token",
    "value": "the step's values",
    "valid": "false: there is no step, and no state changes",
    "state": "what the stream remembers; zeros at its start",
    "next": "the same after this step",
    "series": "what is decoded at every step",
    "logits": "the mean over all steps of what is decoded",
}


def build_float_step(network: SpikingSSM, class_names: Sequence[str]) -> onnx.ModelProto:
    """One step of a batch of streams, in the parameters' element type: ``value`` (B, F) or ``token`` (B,), ``valid``
    (B,), states in and out, ``logits`` (B, C), the mean so far.

    Raises:
        PumiceError: the network reads sequences from both ends.
    """
    graph = Graph("float_step")
    event = EventGraph(graph)
    _, logits = _write_step(event, network)
    graph.output(logits, "logits", ["batch", network.config.num_classes])
    for state in event.states:
        graph.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    return _finish(graph, network, "One step of a batch of streams, states in and states out", class_names)


def build_float_sequence(network: SpikingSSM, class_names: Sequence[str]) -> onnx.ModelProto:
    """Whole samples: inputs as the step's with a length axis; both axes are dynamic; ``series`` (B, L, C), as
    ``SpikingSSM.sequence``, and ``logits`` (B, C), their mean over the valid steps.

    Raises:
        PumiceError: the network reads sequences from both ends.
    """
    classes = network.config.num_classes
    body = Graph("event", prefix=BODY_PREFIX)
    event = EventGraph(body)
    decoded, _ = _write_step(event, network)
    graph, final = over_events("float_sequence", body, event, {"series": (decoded, (classes,))})
    graph.output(_mean(final, classes), "logits", ["batch", classes])
    return _finish(graph, network, "Whole samples, padded and marked by valid, through a Scan over steps", class_names)


def outputs(
    session: Session, network: SpikingSSM, inputs: Tensor, dt: None, lengths: Tensor, pool_dt: None
) -> tuple[np.ndarray, np.ndarray]:
    """What is decoded at every step (B, T, C), in onnxruntime and in torch."""
    return session.run(float_feed(inputs, lengths))["series"], network.sequence(inputs).numpy()


def _finish(graph: Graph, network: SpikingSSM, what: str, class_names: Sequence[str]) -> onnx.ModelProto:
    config = network.config
    properties = {"class_names": json.dumps(list(class_names)), "arithmetic": str(dtype_of(network))}
    docs = {
        f"blocks/{number}": f"{config.d_model} spiking channels of {config.d_state // 2} modes"
        for number in range(config.layers)
    }
    return finish(graph, properties, f"{what}: the float model, for reference", _DOCS, docs)


@torch.no_grad()
def _write_step(event: EventGraph, network: SpikingSSM) -> tuple[str, str]:
    """What is decoded at this step, and its mean so far, (B, C) each."""
    if network.config.bidirectional:
        raise PumiceError("ONNX has no step of a model that reads sequences from both ends; use bidirectional=false")
    graph, dtype = event.graph, dtype_of(network)
    event.begin(graph.input("valid", np.bool_, ["batch"]))
    if network.config.vocab is None:
        value = graph.input("value", dtype, ["batch", network.config.in_features])
        graph.scope = "encoder"
        x = affine(graph, value, network.encoder.weight, network.encoder.bias)
    else:
        token = graph.input("token", np.int64, ["batch"])
        graph.scope = "embedding"
        x = graph.op("Gather", constant(graph, network.embedding.weight), token, dtype=dtype, axis=0)
    for number, block in enumerate(network.blocks):
        graph.scope = f"blocks/{number}"
        x = _write_block(event, block, graph.scope, x, dtype)
    graph.scope = "decoder"
    decoded = affine(graph, x, network.decoder.weight, network.decoder.bias)
    old = event.open(Carried("decoded", (network.config.num_classes,), dtype))
    event.keep_unless_valid("decoded", graph.op("Add", old, decoded), 1)
    return decoded, _mean(event, network.config.num_classes)


def _mean(event: EventGraph, classes: int) -> str:
    """The sum of what was decoded over the steps so far, (B, C); 0 before the first."""
    graph, total = event.graph, event.after["decoded"]
    count = graph.cast(event.count(1), graph.dtypes[total])
    return graph.op("Div", total, graph.op("Max", count, graph.like(1, count)))


def _write_block(event: EventGraph, block: Block, path: str, x: str, dtype: np.dtype) -> str:
    """One block, (B, H) to (B, H)."""
    graph, layer = event.graph, block.layer
    u = _norm(graph, block.norm, x) if block.norm is not None and block.placement == "pre" else x
    modes = layer.kernel.discrete(layer.neuron.scale())
    channels, width = modes.rate.shape
    decay = torch.exp(modes.rate)
    re, im = (event.open(Carried(f"{path}/{part}", (channels * width,), dtype)) for part in ("re", "im"))
    each = graph.constant(np.repeat(np.arange(channels), width), np.int64)
    driven = graph.op("Gather", u, each, dtype=dtype, axis=1)
    along, across = (constant(graph, part.flatten()) for part in (decay.real, decay.imag))
    new_re = graph.op("Sub", graph.op("Mul", re, along), graph.op("Mul", im, across))
    new_re = event.keep_unless_valid(f"{path}/re", graph.op("Add", new_re, driven), 1)
    new_im = graph.op("Add", graph.op("Mul", im, along), graph.op("Mul", re, across))
    new_im = event.keep_unless_valid(f"{path}/im", new_im, 1)
    read = graph.op("Mul", new_re, constant(graph, 2 * modes.C.real.flatten()))
    read = graph.op("Sub", read, graph.op("Mul", new_im, constant(graph, 2 * modes.C.imag.flatten())))
    apart = graph.op("Reshape", read, graph.constant([-1, channels, width], np.int64), dtype=dtype)
    summed = graph.op("ReduceSum", apart, graph.constant([2], np.int64), dtype=dtype, keepdims=0)
    current = graph.op("Add", summed, graph.op("Mul", u, constant(graph, modes.D)))
    old = event.open(Carried(f"{path}/u", (channels,), dtype))
    reached = graph.op("Add", graph.op("Mul", old, graph.like(layer.neuron.tau, old)), current)
    spiked = graph.op("GreaterOrEqual", reached, graph.like(1, reached))
    event.keep_unless_valid(f"{path}/u", graph.op("Where", spiked, graph.like(0, reached), reached), 1)
    spikes = graph.cast(spiked, dtype)
    halves = zip(layer.output.weight.chunk(2), layer.output.bias.chunk(2), strict=True)
    y, gate = (affine(graph, spikes, weight, bias) for weight, bias in halves)
    total = graph.op("Add", x, graph.op("Mul", y, graph.op("Sigmoid", gate)))
    return _norm(graph, block.norm, total) if block.norm is not None and block.placement == "post" else total


def _norm(graph: Graph, norm: ChannelNorm, x: str) -> str:
    if isinstance(norm, ChannelBatchNorm):
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        offset = norm.bias - norm.running_mean * scale
        return graph.op("Add", graph.op("Mul", x, constant(graph, scale)), constant(graph, offset))
    mean = constant(graph, torch.full((len(norm.weight), 1), 1 / len(norm.weight), dtype=norm.weight.dtype))
    centred = graph.op("Sub", x, graph.op("MatMul", x, mean))
    variance = graph.op("MatMul", graph.op("Mul", centred, centred), mean)
    deviation = graph.op("Sqrt", graph.op("Add", variance, graph.like(norm.eps, variance)))
    scaled = graph.op("Mul", graph.op("Div", centred, deviation), constant(graph, norm.weight))
    return graph.op("Add", scaled, constant(graph, norm.bias))
