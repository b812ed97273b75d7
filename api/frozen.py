"""The frozen QAT model as a backend: PyTorch in float64, on samples padded as its training data are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..program import Program
from ..program.arithmetic import rounded_divide
from ..program.clock import gaps
from ..program.nodes import Readout
from ..program.samples import Sample, Trace, check
from ..quantize.frozen import FrozenModel
from ..terminal import progress
from ..train.data.events.collate import pad
from ..train.data.inputs import Inputs

BATCH = 32


def run_frozen(frozen: FrozenModel[Any], program: Program, samples: Sequence[Sample], trace: bool) -> list[Trace]:
    """The frozen model in float64, by batches padded as the data module pads them."""
    run = _run_steps if program.clocked else _run_events
    samples = [check(program, sample, index) for index, sample in enumerate(samples)]
    traces: list[Trace] = []
    with progress("twin, samples", len(samples)) as step:
        for start in range(0, len(samples), BATCH):
            with torch.inference_mode():
                traces += run(frozen.double(), program, samples[start : start + BATCH], trace)
            step(len(samples[start : start + BATCH]))
    return traces


def _run_events(frozen: FrozenModel[Any], program: Program, batch: Sequence[Sample], trace: bool) -> list[Trace]:
    inputs = padded_batch(batch, program.pairing)
    if trace:
        _, edges = frozen.trace(inputs)
        said = edges[program.series or program.logits]
    else:
        edges = {}
        said = (frozen(*inputs.events()) * 2.0 ** program[program.logits].output.frac).to(torch.int64)
    traces = []
    for row, events in enumerate(inputs.lengths.tolist()):
        logits, series = said[row].numpy(), None
        if program.series is not None:
            series = logits[: events // program.rates[program.series]]
            logits = _read_out(program.of_type(Readout)[0], series)
        rows = _rows(program, edges, row, events)
        traces.append(Trace(logits, is_incomplete(program, events), {}, {}, *rows, series))
    return traces


def _run_steps(frozen: FrozenModel[Any], program: Program, batch: Sequence[Sample], trace: bool) -> list[Trace]:
    """A clocked network; its state may run on through the padding, which nothing is read from."""
    inputs = padded_batch(batch, program.pairing)
    _, edges = frozen.trace(inputs)
    (readout,) = program.of_type(Readout)
    traces = []
    for row, steps in enumerate(inputs.lengths.tolist()):
        values, states = _rows(program, edges, row, steps) if trace else ({}, {})
        if program.series is None:
            traces.append(Trace(edges[program.logits][row].numpy(), steps == 0, {}, {}, values, states))
            continue
        series = edges[program.series][row, :steps].numpy()
        logits = _read_out(readout, series)
        traces.append(Trace(logits, steps == 0, {}, {}, values, states, series))
    return traces


def _read_out(node: Readout, series: NDArray[np.int64]) -> NDArray[np.int64]:
    """The logits after the last step of a series (steps, C): its last value, or the mean."""
    if not len(series):
        return np.zeros(series.shape[1], dtype=np.int64)
    if node.mode == "mean":
        return rounded_divide(series.sum(axis=0) << node.extra_bits, np.array(len(series)))
    assert node.mode == "last"
    return series[-1]


def _rows(
    program: Program, edges: Mapping[str, torch.Tensor], row: int, events: int
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Edges and states of one sample of a batch; behind a read-out only the last value is there, and left out."""
    values: dict[str, NDArray[np.int64]] = {}
    states: dict[str, NDArray[np.int64]] = {}
    for name, codes in edges.items():
        if codes.dim() == 3:
            node = name.removesuffix(":state")
            kept = values if node == name else states
            kept[node] = codes[row, : events // program.rates[node]].numpy()
    return values, states


def padded_batch(samples: Sequence[Sample], pairing: str) -> Inputs:
    """What a model reads of samples, at least one, padded to the longest.

    Times are exact here; the frozen model rounds them to the program's ticks itself, by the absolute times.
    """
    exact = [gaps(times, 1, pairing) / 1000 for _, times in samples]
    dense = np.asarray(samples[0][0]).ndim == 2
    return pad([np.asarray(values, np.float64 if dense else np.int64) for values, _ in samples], exact)


def is_incomplete(program: Program, events: int) -> bool:
    """Whether a read-out sees no value within ``events`` input events."""
    return any(events < program.rates[node.inputs[0]] for node in program.read_outs)
