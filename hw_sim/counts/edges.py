"""The values that one sample put on every edge, read from a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...program import Program, ProgramError
from ...program.nodes import QUERY, Node
from ...program.reference.batch import Batch
from ...program.reference.interpreter import function_of
from ...program.samples import Trace
from .records import Tally


class Edges:
    """Rows of every edge for one sample; behind a read-out a single row, read after the last event."""

    def __init__(self, program: Program, trace: Trace) -> None:
        self.program = program
        self.trace = trace
        source = program.value_input.name
        if source not in trace.values:
            raise ProgramError("the trace holds no values; run the samples with trace=True")
        self.events = len(trace.values[source])
        self._values = {node.name: trace.values[node.name] for node in program if program.rates[node.name] != QUERY}
        for node in program:
            if program.rates[node.name] == QUERY:
                self._values[node.name] = self._read(node)
        if not np.array_equal(self._values[program.logits][0], trace.logits):
            raise ProgramError("the trace was made by another program; run the samples with this one")

    def output(self, node: Node) -> np.ndarray:
        """The node's output codes, (runs, channels) int64."""
        return self._values[node.name]

    def inputs(self, node: Node) -> list[np.ndarray]:
        """The codes on the node's input edges, (rows, channels) int64 each."""
        return [self._values[edge] for edge in node.inputs]

    def states(self, node: Node) -> np.ndarray:
        """What the node holds after each event, (events, channels) int64, see ``Trace.states``."""
        return self.trace.states[node.name]

    def replay(self, node: Node) -> tuple[np.ndarray, np.ndarray]:
        """The node's output (events, channels) and states, run anew by the reference on the codes of its inputs."""
        batch = Batch(self.program, np.array([self.events]), trace=True)
        inputs = [rows[None] for rows in self.inputs(node)]
        output = function_of(node)(node, inputs, batch.valid(self.program.rates[node.name]), batch)
        return output[0], batch.states[node.name][0]

    def _read(self, node: Node) -> np.ndarray:
        batch = Batch(self.program, np.array([self.events]), trace=False)
        inputs = [rows[None] for rows in self.inputs(node)]
        return function_of(node)(node, inputs, batch.valid(QUERY), batch)[0]


NodeCounter = Callable[[Any, Edges, Tally], None]
"""Counts what a node of one type did in one sample: (node, edges, tally)."""
