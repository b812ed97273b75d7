"""From the graph of one event to a graph of whole samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import onnx

from .event import AFTER, BEFORE, EventGraph
from .graph import Graph

BODY_PREFIX = "event/"


Event = TypeVar("Event", bound=EventGraph)


def over_events(
    name: str, body: Graph, event: Event, kept: Mapping[str, tuple[str, tuple[int, ...]]]
) -> tuple[Graph, Event]:
    """A graph that runs ``body`` over samples (B, L, ...) from zero states.

    Args:
        name: of the graph.
        body: the event's operations, with prefix ``BODY_PREFIX``; its outputs are declared here.
        event: the event's states.
        kept: tensors of every event and their shapes without the batch, by the name under which they become outputs
            (B, L, *shape) of the graph.

    Returns:
        The graph, to which a read-out can be added, and its states after the last event.
    """
    for state in event.states:
        body.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    for output, (tensor, shape) in kept.items():
        body.output(tensor, output, ["batch", *shape])

    graph = Graph(name, opset=body.opset)
    graph.dtypes |= body.dtypes
    graph.beyond_float32 |= body.beyond_float32
    final = event.in_graph(graph)
    final.after = {state.name: f"final/{state.name}" for state in event.states}
    names = [info.name.removeprefix(body.prefix) for info in body.inputs]
    scanned = [name for name in names if not name.startswith(BEFORE)]
    body.order_inputs([*(BEFORE + state.name for state in event.states), *scanned])
    rests = [_rest(info) for info in body.inputs[len(event.states) :]]
    for name, rest in zip(scanned, rests, strict=True):
        graph.input(name, body.dtypes[body.prefix + name], ["batch", "length", *rest])
    graph.scope = "scan"
    graph.ops(
        "Scan",
        *(graph.zeros("valid", state.shape, state.dtype) for state in event.states),
        *(_lead(graph, name, len(rest)) for name, rest in zip(scanned, rests, strict=True)),
        outputs=[*final.after.values(), *(f"scan/{output}" for output in kept)],
        dtypes=[body.dtypes[info.name] for info in body.outputs],
        body=body.build(),
        num_scan_inputs=len(scanned),
    )
    for output, (_, shape) in kept.items():
        first, end, axis = (graph.constant([value], np.int64) for value in (1, np.iinfo(np.int64).max, 0))
        tail = graph.op("Slice", f"scan/{output}", first, end, axis, dtype=graph.dtypes[f"scan/{output}"])
        graph.output(_swapped(graph, tail, len(shape)), output, ["batch", "length", *shape])
    return graph, final


def _rest(info: onnx.ValueInfoProto) -> list[int]:
    """The axes of an input of the body after the batch."""
    return [axis.dim_value for axis in info.type.tensor_type.shape.dim[1:]]


def _lead(graph: Graph, name: str, rest: int) -> str:
    """The input by events (L, B, ...), as every runtime scans them along the first axis.

    One event of zeros, not valid, lies before it: onnxruntime divides by the length of a Scan.
    """
    pads = [0, 1, *[0] * rest] + [0] * (2 + rest)
    return _swapped(graph, graph.op("Pad", name, graph.constant(pads, np.int64), dtype=graph.dtypes[name]), rest)


def _swapped(graph: Graph, tensor: str, rest: int) -> str:
    """The first two of ``2 + rest`` axes in the other order."""
    return graph.op("Transpose", tensor, perm=[1, 0, *range(2, 2 + rest)])
