"""The sequence model: whole samples through a Scan over events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from ...errors import PumiceError
from ...quantize.program import Program
from .event import AFTER, BEFORE, EventGraph
from .graph import Graph
from .model import finish
from .writers import write_event, write_query


def build_sequence(program: Program, trace: Sequence[str] = ()) -> onnx.ModelProto:
    """Whole samples from zero states, in integer operators alone; the body of the Scan is the step model's event.

    Inputs: as the step model's, with a length axis: ``token`` (B, L) or ``value`` (B, L, d), gaps (B, L), ``valid``
    (B, L). Both axes are dynamic, and events that are not valid may lie anywhere. Outputs: ``logits`` (B, C) after
    the last event, and ``trace/<name>`` (B, L, ...) for the edges, and the states after each event (as
    ``state/<name>``), named in ``trace``.

    Raises:
        PumiceError: a node type has no writer, or ``trace`` names what has no value at each event.
    """
    body = Graph("event", prefix="event/")
    event = EventGraph(body, program, trace)
    event.begin(body.input("valid", np.bool_, ["batch"]))
    write_event(event)
    for state in event.states:
        body.output(event.after[state.name], AFTER + state.name, ["batch", *state.shape])
    for name in trace:
        body.output(_traced(event, name), f"trace/{name}", ["batch", *_shape(event, name)])

    graph = Graph("sequence")
    final = EventGraph(graph, program)
    final.after = {state.name: f"final/{state.name}" for state in event.states}
    outputs = [*final.after.values(), *(f"scan/{name}" for name in trace)]
    names = [info.name.removeprefix(body.prefix) for info in body.inputs]
    scanned = [name for name in names if not name.startswith(BEFORE)]
    body.order_inputs([*(BEFORE + state.name for state in event.states), *scanned])
    for name in scanned:
        dense = [program.value_input.channels] if name == "value" else []
        graph.input(name, body.dtypes[body.prefix + name], ["batch", "length", *dense])
    graph.scope = "scan"
    events = [_lead(graph, name, dense=name == "value") for name in scanned]
    graph.ops(
        "Scan",
        *(graph.zeros("valid", state.shape, state.dtype) for state in event.states),
        *events,
        outputs=outputs,
        dtypes=[body.dtypes[info.name] for info in body.outputs],
        body=body.build(),
        num_scan_inputs=len(scanned),
        scan_input_axes=[1] * len(scanned),
        **({"scan_output_axes": [1] * len(trace)} if trace else {}),
    )
    logits = write_query(final)
    graph.output(logits, "logits", ["batch", len(program.class_names)])
    for name in trace:
        first, end, axis = (graph.constant([value], np.int64) for value in (1, np.iinfo(np.int64).max, 1))
        tail = graph.op("Slice", f"scan/{name}", first, end, axis, dtype=graph.dtypes[f"scan/{name}"])
        graph.output(tail, f"trace/{name}", ["batch", "length", *_shape(event, name)])
    return finish(graph, program)


def _traced(event: EventGraph, name: str) -> str:
    tensor = event.after.get(name.removeprefix(BEFORE)) if name.startswith(BEFORE) else event.edges.get(name)
    if tensor is None:
        raise PumiceError(f"{name!r} has no value at each event; trace a node before the read-out or a state")
    return tensor


def _shape(event: EventGraph, name: str) -> tuple[int, ...]:
    shapes = {BEFORE + state.name: state.shape for state in event.states}
    return shapes.get(name) or (event.program[name].channels,)


def _lead(graph: Graph, name: str, dense: bool) -> str:
    """The input with one event of zeros, not valid, before it: onnxruntime divides by the length of a Scan."""
    pads = [0, 1, 0, 0, 0, 0] if dense else [0, 1, 0, 0]
    return graph.op("Pad", name, graph.constant(pads, np.int64), dtype=graph.dtypes[name])
