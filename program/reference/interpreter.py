"""The executable form of the program's arithmetic: plain numpy int64, one function a node, vectorised over the batch.

This is the oracle that every kernel and backend is held against, so it is written to be read: whole samples, padded
into a batch; sequence nodes are loops over events; no table, shortcut or trick that the node's equation does not name.
It needs numpy and ``program`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..arithmetic import round_half_up_real
from ..errors import ProgramError
from ..graph import Program
from ..nodes import QUERY, DenseInput, GapInput, Node, TokenInput
from ..samples import Sample, Trace, encode
from . import loihi, neurons, ssm, stateless, windows
from .batch import Batch, NodeFunction


def run(
    program: Program,
    samples: Sequence[Sample],
    *,
    trace: bool = True,
    batch_size: int = 32,
    empty_steps: str = "refuse",
) -> list[Trace]:
    """Run whole samples, each from the zero state; one trace a sample, in their order.

    With ``trace=False`` only logits, counters and flags are kept, and read-outs are read once, at the end.
    ``empty_steps``: of a clocked program, "refuse" samples that leave out steps or "fill" them in (``samples.check``).

    Raises:
        ProgramError: a token outside the vocabulary, NaN or wrong shapes in dense values, times that go backwards or
            a recording too long for 64-bit sums; names the sample and the event.
    """
    encoded = [encode(program, sample, index, empty_steps) for index, sample in enumerate(samples)]
    traces: list[Trace] = []
    for start in range(0, len(encoded), batch_size):
        traces += _run_batch(program, encoded[start : start + batch_size], trace)
    return traces


def _run_batch(
    program: Program, encoded: Sequence[tuple[np.ndarray, dict[str, np.ndarray]]], trace: bool
) -> list[Trace]:
    batch = Batch(program, np.array([len(values) for values, _ in encoded], dtype=np.int64), trace)
    last_use = {edge: node.name for node in program for edge in node.inputs}
    for node in program:
        valid = batch.valid(program.rates[node.name])
        if node.is_input:
            inputs = [_pad([between.get(node.name, values) for values, between in encoded], batch.events)]
        else:
            inputs = [batch.edges[edge] for edge in node.inputs]
        batch.edges[node.name] = function_of(node)(node, inputs, valid, batch)
        if not trace:
            for edge in node.inputs:
                if last_use[edge] == node.name and edge not in (program.logits, program.series):
                    batch.edges.pop(edge, None)
    return [_trace_of(batch, sample) for sample in range(len(encoded))]


def _pad(arrays: Sequence[np.ndarray], events: int) -> np.ndarray:
    padded = np.zeros((len(arrays), events, arrays[0].shape[1]), dtype=arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[: len(array)] = array
    return padded


def _trace_of(batch: Batch, sample: int) -> Trace:
    program, length = batch.program, int(batch.lengths[sample])
    result = Trace(
        logits=batch.edges[program.logits][sample, length if batch.trace else 0].copy(),
        incomplete=bool(batch.incomplete[sample]),
        saturations={node.name: int(batch.saturations[node.name][sample]) for node in program},
        clipped_gaps={name: int(count[sample]) for name, count in batch.clipped_gaps.items()},
    )
    if program.series is not None:
        result.series = batch.edges[program.series][sample, : length // program.rates[program.series]].copy()
    if batch.trace:
        for name, value in batch.edges.items():
            rate = program.rates[name]
            rows = slice(1, length + 1) if rate == QUERY else slice(0, length // rate)
            result.values[name] = value[sample, rows].copy()
        for name, state in batch.states.items():
            result.states[name] = state[sample, : length // program.rates[name]].copy()
    return result


def as_given(node: TokenInput | GapInput, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Tokens and gaps are integers already."""
    return inputs[0]


def dense_input(node: DenseInput, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """``q = sat(floor(x 2**frac + 1/2))`` in float64: the host's quantization of real values."""
    scaled = round_half_up_real(inputs[0] * 2.0**node.output.frac)
    limited = np.clip(scaled, -(2.0**62), 2.0**62)  # stays an int64; the format is far narrower
    return batch.store(node, limited.astype(np.int64), node.output, valid)


FUNCTIONS: dict[type[Node], NodeFunction] = {
    DenseInput: dense_input,
    GapInput: as_given,
    TokenInput: as_given,
    **stateless.FUNCTIONS,
    **ssm.FUNCTIONS,
    **windows.FUNCTIONS,
    **neurons.FUNCTIONS,
    **loihi.FUNCTIONS,
}


def function_of(node: Node) -> NodeFunction:
    """The function of a node's type.

    Raises:
        ProgramError: there is none; names the node.
    """
    if type(node) not in FUNCTIONS:
        raise ProgramError(f"node {node.name}: the reference cannot run nodes of type {type(node).__name__}")
    return FUNCTIONS[type(node)]
