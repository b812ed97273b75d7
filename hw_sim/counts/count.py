"""Count what a program did, node by node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np

from ...program import Program, ProgramError
from ...program.nodes import SPIKES, Node
from ...program.samples import Trace
from . import floating, integer
from .edges import Edges, NodeCounter
from .records import Counts, Tally


def count(program: Program, traces: Sequence[Trace]) -> Counts:
    """Count a program's operations over whole samples, each read out once after its last event.

    ``traces``: of ``program.reference.run`` or the simulator's ``run`` with ``trace=True``, one a sample.

    Raises:
        ProgramError: traces without values or of another program, or a node type that cannot be counted.
    """

    def observe(node: Node, edges: Edges, tally: Tally) -> None:
        output = edges.output(node)
        tally.outputs += output.size
        tally.zero_outputs += output.size - int(np.count_nonzero(output))
        if not node.is_input:
            rows = zip(edges.inputs(node), node.input_formats, strict=True)
            tally.move(
                inputs_read=sum(x.size * form.width for x, form in rows),
                outputs_written=output.size * node.output.width,
            )
            integer.COUNTERS[type(node)](node, edges, tally)

    bits = (lambda node: node.parameter_bits), (lambda node: node.state_bits)
    return _count(program, traces, "integer", integer.COUNTERS, observe, *bits)


def count_float(program: Program, traces: Sequence[Trace]) -> Counts:
    """Count the same graph in float32 over the same samples: nothing is skipped, every number has 32 bits.

    Raises:
        ProgramError: traces without values or of another program, or a node type that cannot be counted.
    """

    def observe(node: Node, edges: Edges, tally: Tally) -> None:
        output = edges.output(node)
        tally.outputs += output.size
        tally.zero_outputs = -1
        if not node.is_input:
            tally.move(
                inputs_read=sum(x.size * floating.WIDTH for x in edges.inputs(node)),
                outputs_written=output.size * floating.WIDTH,
            )
            floating.RULES[type(node)].count(node, edges, tally)

    bits = floating.parameter_bits, floating.state_bits
    return _count(program, traces, "float32", floating.RULES, observe, *bits)


def _count(
    program: Program,
    traces: Sequence[Trace],
    arithmetic: str,
    counted: Collection[type[Node]],
    observe: NodeCounter,
    parameters: Callable[[Node], int],
    state: Callable[[Node], int],
) -> Counts:
    for node in program:
        if not node.is_input and type(node) not in counted:
            raise ProgramError(f"node {node.name}: {type(node).__name__} cannot be counted; leave out the stage count")
    tallies = {node.name: Tally() for node in program}
    events = 0
    for trace in traces:
        edges = Edges(program, trace)
        events += edges.events
        for node in program:
            tallies[node.name].runs += len(edges.output(node))
            observe(node, edges, tallies[node.name])
    nodes = tuple(
        tallies[node.name].freeze(
            node.name, type(node).__name__, parameters(node), state(node), _spikes(node), _real(node)
        )
        for node in program
    )
    return Counts(arithmetic, len(traces), events, nodes, clocked=program.clocked)


def _real(node: Node) -> bool:
    """Whether a state decays in as many components as there are time constants."""
    return any(state.loss is not None and state.loss.size == state.size for state in node.states())


def _spikes(node: Node) -> bool:
    return node.output == SPIKES and not node.is_input
