"""The sequence model: whole samples through a Scan over events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from ...errors import PumiceError
from ...program import Program
from .dialect import Dialect, write_event, write_query
from .doubles import DOUBLES
from .event import BEFORE, ProgramEvent
from .graph import Graph
from .model import finish_program
from .opset import LOWEST, check_opset
from .scan import BODY_PREFIX, over_events


def build_sequence(
    program: Program, trace: Sequence[str] = (), *, dialect: Dialect = DOUBLES, opset: int | None = None
) -> onnx.ModelProto:
    """Whole samples from zero states, by default in whole numbers of float64.

    Where the dialect has no other way, or something is traced, the step's event is the body of a Scan.

    Inputs: as the step model's, with a length axis: ``token`` (B, L) or ``value`` (B, L, d), gaps (B, L), ``valid``
    (B, L). Both axes are dynamic, and events that are not valid may lie anywhere. Outputs: ``logits`` (B, C) after
    the last event; ``series`` (B, L, C) where the program has one, which repeats its last value at events that give
    none; and ``trace/<name>`` (B, L, ...) for the edges, and the states after each event (as ``state/<name>``), named
    in ``trace``. ``opset`` is that of ONNX's operators, 16 to 21; None for the lowest that the graph needs.

    Raises:
        PumiceError: a node type has no writer, ``trace`` names what has no value at each event, or ``opset`` lacks an
            operation.
    """
    check_opset(opset)
    whole = None if trace else dialect.whole(program, opset)
    if whole is not None:
        return whole
    body = Graph("event", prefix=BODY_PREFIX, opset=opset or LOWEST)
    event = dialect.event(body, program, trace, scanned=True)
    event.begin(body.input("valid", np.bool_, ["batch"]))
    write_event(event, dialect)
    outputs = {f"trace/{name}": name for name in trace}
    if program.series is not None:
        held = f"{BEFORE}{program.logits}/last"
        outputs["series"] = program.series if program[program.series].keeps_state else held
    kept = {output: (_traced(event, name), _shape(event, name)) for output, name in outputs.items()}
    graph, final = over_events("sequence", body, event, kept)
    logits = final.integers(write_query(final, dialect), program[program.logits].output)
    graph.output(logits, "logits", ["batch", len(program.class_names)])
    doc = f"Whole samples, padded and marked by valid, through a Scan over events: {dialect.doc}"
    return finish_program(graph, program, doc, dialect.arithmetic, opset)


def _traced(event: ProgramEvent, name: str) -> str:
    state = name.removeprefix(BEFORE)
    if name.startswith(BEFORE) and state in event.layout:
        return event.integers(event.final(state))
    if name not in event.edges:
        raise PumiceError(f"{name!r} has no value at each event; trace a node before the read-out or a state")
    return event.integers(event.edges[name], event.program[name].output)


def _shape(event: ProgramEvent, name: str) -> tuple[int, ...]:
    state = name.removeprefix(BEFORE)
    return (event.layout[state][2],) if name.startswith(BEFORE) else (event.program[name].channels,)
