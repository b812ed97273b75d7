"""Count what a program did, node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...program import Program, ProgramError
from ...program.nodes import (
    INPUT_NODES,
    LIF,
    SPIKES,
    AdaptiveLIF,
    Add,
    BatchNorm,
    DiagonalSSM,
    Embedding,
    EventPool,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    LoihiLIF,
    Lookup,
    Multiply,
    Node,
    Readout,
)
from ...program.samples import Trace
from . import floating, neurons, sequence
from . import stateless as products
from .edges import Edges
from .memory import parameter_bits, state_bits
from .records import Counts, Tally

NodeCounter = Callable[[Node, Edges, Tally], None]

COUNTERS: dict[type[Node], NodeCounter] = {
    AdaptiveLIF: neurons.adaptive_lif,
    Add: products.add,
    BatchNorm: products.batch_norm,
    DiagonalSSM: sequence.diagonal_ssm,
    Embedding: products.embedding,
    EventPool: sequence.event_pool,
    LayerNorm: products.layer_norm,
    LeakyIntegrator: neurons.leaky_integrator,
    LIF: neurons.lif,
    Linear: products.linear,
    LoihiLIF: neurons.loihi_lif,
    Lookup: products.lookup,
    Multiply: products.multiply,
    Readout: sequence.readout,
}
"""Inputs are the host's and have no counter."""


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
        if not isinstance(node, INPUT_NODES):
            rows = zip(edges.inputs(node), node.input_formats, strict=True)
            tally.move(
                inputs_read=sum(x.size * form.width for x, form in rows),
                outputs_written=output.size * node.output.width,
            )
            COUNTERS[type(node)](node, edges, tally)

    return _count(program, traces, "integer", COUNTERS, observe, parameter_bits, state_bits)


def count_float(program: Program, traces: Sequence[Trace]) -> Counts:
    """Count the same graph in float32 over the same samples: nothing is skipped, every number has 32 bits.

    Raises:
        ProgramError: traces without values or of another program, or a node type that cannot be counted.
    """

    def observe(node: Node, edges: Edges, tally: Tally) -> None:
        output = edges.output(node)
        tally.outputs += output.size
        tally.zero_outputs = -1
        if not isinstance(node, INPUT_NODES):
            tally.move(
                inputs_read=sum(x.size * floating.WIDTH for x in edges.inputs(node)),
                outputs_written=output.size * floating.WIDTH,
            )
            floating.COUNTERS[type(node)](node, edges, tally)

    return _count(program, traces, "float32", floating.COUNTERS, observe, floating.parameter_bits, floating.state_bits)


def _count(
    program: Program,
    traces: Sequence[Trace],
    arithmetic: str,
    counters: Mapping[type[Node], NodeCounter],
    observe: NodeCounter,
    parameters: Callable[[Node], int],
    state: Callable[[Node], int],
) -> Counts:
    for node in program:
        if not isinstance(node, INPUT_NODES) and type(node) not in counters:
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
        tallies[node.name].freeze(node.name, type(node).__name__, parameters(node), state(node), _spikes(node))
        for node in program
    )
    return Counts(arithmetic, len(traces), events, nodes, clocked=program.clocked)


def _spikes(node: Node) -> bool:
    return node.output == SPIKES and not isinstance(node, INPUT_NODES)
