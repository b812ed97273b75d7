"""Backends that `pumice simulate` compares, by name: callables as ``hw_sim.parity.compare`` takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from ..errors import BackendUnavailable
from ..hw_sim import simulator
from ..hw_sim.parity.compare import Backend, Verdict, compare
from ..program import Program, reference
from ..program.arithmetic import rounded_divide
from ..program.clock import gaps
from ..program.nodes import Readout
from ..program.samples import Sample, Trace, check
from ..quantization.frozen import FrozenModel
from ..train.data.inputs import Inputs

NAMES = ("reference", "twin", "run", "step", "onnx", "lava")

BATCH = 32

PADDED_EVENTS = 250_000
"""Events, padding included, of one batch of the reference: about 1 GB for a network of 50 wide edges."""


def make_backend(name: str, frozen: FrozenModel[Any], threads: int | None = None, **lava: Any) -> Remembering:
    """The backend ``name``.

    Args:
        name: one of ``NAMES``: the plain numpy reference; the frozen quantized PyTorch model in float64; the simulator
            over whole samples, or one event at a time; the ONNX sequence model in onnxruntime; the Lava network in an
            interpreter of its own, about a millisecond an event.
        frozen: the model behind ``twin``.
        threads: of the simulator; None: all cores.
        lava: further arguments of ``run_lava``.
    """
    if name == "onnx":
        from ..export.onnx.backend import run_onnx

        return Remembering(run_onnx)
    if name == "lava":
        from ..export.lava import ensure_environment, run_lava

        return Remembering(partial(run_lava, **lava), prepare=ensure_environment, traces_always=True)
    backends: dict[str, Backend] = {
        "reference": run_reference,
        "twin": lambda program, samples, trace: run_twin(frozen, program, samples, trace),
        "run": lambda program, samples, trace: simulator.run(program, samples, trace=trace, threads=threads),
        "step": lambda program, samples, trace: simulator.run_stepwise(program, samples, trace=trace, threads=threads),
    }
    return Remembering(backends[name])


class Remembering:
    """A backend that remembers samples, as objects, so that no question costs twice.

    Args:
        backend: what to ask.
        prepare: what has to happen once, outside the measured time; default: a run of the first sample.
        traces_always: whether a run costs the same with traces and without.

    Attributes:
        seconds: wall time of the largest run (without traces, where that is a difference).
    """

    def __init__(
        self, backend: Backend, *, prepare: Callable[[], object] | None = None, traces_always: bool = False
    ) -> None:
        self._backend = backend
        self._prepare = prepare
        self._traces_always = traces_always
        self._known: dict[bool, dict[int, tuple[Sample, Trace]]] = {False: {}, True: {}}
        self._largest = 0
        self.seconds = 0.0

    def __call__(self, program: Program, samples: Sequence[Sample], trace: bool) -> list[Trace]:
        known = self._known[trace or self._traces_always]
        new = [sample for sample in samples if id(sample) not in known]
        if new:
            start = time.perf_counter()
            found = self._backend(program, new, trace or self._traces_always)
            if (not trace or self._traces_always) and len(new) > self._largest:
                self._largest, self.seconds = len(new), time.perf_counter() - start
            known.update((id(sample), (sample, its)) for sample, its in zip(new, found, strict=True))
        return [known[id(sample)][1] for sample in samples]

    def warm_up(self, program: Program, samples: Sequence[Sample]) -> None:
        """Let the backend compile or build what it needs; nothing is remembered.

        Raises:
            BackendUnavailable: it cannot run the program, or not on this machine.
        """
        if self._prepare is not None:
            self._prepare()
        else:
            self._backend(program, samples, False)


def run_reference(program: Program, samples: Sequence[Sample], trace: bool) -> list[Trace]:
    """The reference, by batches of similar length, which its loops over events take the fewest turns for."""
    for index, sample in enumerate(samples):
        check(program, sample, index)  # so that an error names the sample by its number here
    order = sorted(range(len(samples)), key=lambda index: len(samples[index][1]))
    traces: list[Trace | None] = [None] * len(samples)
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * len(samples[order[stop]][1]) <= PADDED_EVENTS:
            stop += 1
        chosen = order[start:stop]
        batch = [samples[index] for index in chosen]
        for index, found in zip(chosen, reference.run(program, batch, trace=trace, batch_size=len(batch)), strict=True):
            traces[index] = found
        start = stop
    return [found for found in traces if found is not None]


def run_twin(frozen: FrozenModel[Any], program: Program, samples: Sequence[Sample], trace: bool) -> list[Trace]:
    """The frozen model in float64, by batches padded as the data module pads them."""
    run = _run_events if program.series is None else _run_steps
    samples = [check(program, sample, index) for index, sample in enumerate(samples)]
    traces: list[Trace] = []
    for start in range(0, len(samples), BATCH):
        with torch.inference_mode():
            traces += run(frozen.double(), program, samples[start : start + BATCH], trace)
    return traces


def _run_events(frozen: FrozenModel[Any], program: Program, batch: Sequence[Sample], trace: bool) -> list[Trace]:
    inputs = padded_batch(batch, program.pairing)
    if trace:
        _, edges = frozen.trace(inputs)
        logits = edges[program.logits]
    else:
        edges = {}
        logits = frozen(*inputs.events()) * 2.0 ** program[program.logits].output.frac
        logits = logits.to(torch.int64)
    return [
        Trace(logits[row].numpy(), is_incomplete(program, events), {}, {}, *_rows(program, edges, row, events))
        for row, events in enumerate(inputs.lengths.tolist())
    ]


def _run_steps(frozen: FrozenModel[Any], program: Program, batch: Sequence[Sample], trace: bool) -> list[Trace]:
    """A clocked network; its state may run on through the padding, which nothing is read from."""
    inputs = padded_batch(batch, program.pairing)
    _, edges = frozen.trace(inputs)
    traces = []
    for row, steps in enumerate(inputs.lengths.tolist()):
        values, states = _rows(program, edges, row, steps) if trace else ({}, {})
        series = edges[program.series][row, :steps].numpy()
        logits = _read_out(program[program.logits], series)
        traces.append(Trace(logits, steps == 0, {}, {}, values, states, series))
    return traces


def _read_out(node: Readout, series: np.ndarray) -> np.ndarray:
    """The logits after the last step of a series (steps, C): its last value, or the mean."""
    if not len(series):
        return np.zeros(series.shape[1], dtype=np.int64)
    if node.mode == "mean":
        return rounded_divide(series.sum(axis=0) << node.extra_bits, np.int64(len(series)))
    assert node.mode == "last"
    return series[-1]


def _rows(
    program: Program, edges: Mapping[str, torch.Tensor], row: int, events: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Edges and states of one sample of a batch; behind a read-out only the last value is there, and left out."""
    values: dict[str, np.ndarray] = {}
    states: dict[str, np.ndarray] = {}
    for name, codes in edges.items():
        if codes.dim() == 3:
            node = name.removesuffix(":state")
            kept = values if node == name else states
            kept[node] = codes[row, : events // program.rates[node]].numpy()
    return values, states


def padded_batch(samples: Sequence[Sample], pairing: str) -> Inputs:
    """What a model reads of samples, padded to the longest.

    Times are exact here; the frozen model rounds them to the program's ticks itself, by the absolute times.
    """
    exact = [gaps(times, 1, pairing) / 1000 for _, times in samples]
    lengths = [len(dt) for dt in exact]
    longest = max([*lengths, 1])
    first = np.asarray(samples[0][0])
    dense = first.ndim == 2
    tokens = np.zeros((len(samples), longest, *first.shape[1:]), np.float64 if dense else np.int64)
    if not dense:
        tokens -= 1
    dt = np.zeros((len(samples), longest))
    for row, ((values, _), length) in enumerate(zip(samples, lengths, strict=True)):
        tokens[row, :length], dt[row, :length] = values[:length], exact[row]
    intervals = torch.from_numpy(dt)
    return Inputs(torch.from_numpy(tokens), intervals, torch.tensor(lengths))


def is_incomplete(program: Program, events: int) -> bool:
    """Whether a read-out sees no value within ``events`` input events."""
    return any(events < program.rates[node.inputs[0]] for node in program.read_outs)


def prepare(program: Program, samples: Sequence[Sample], backends: dict[str, Remembering]) -> dict[str, str]:
    """Compile and build outside the measured time. Backends that cannot run it here leave ``backends``.

    Returns:
        Why, by name.

    Raises:
        BackendUnavailable: nothing is left to compare.
    """
    oracle, skipped = next(iter(backends)), {}
    for name in list(backends):
        try:
            backends[name].warm_up(program, samples[:1])
        except BackendUnavailable as error:
            if name == oracle or len(backends) <= 2:
                raise
            skipped[name] = str(error)
            del backends[name]
    return skipped


def compare_backends(
    program: Program,
    samples: Sequence[Sample],
    backends: Mapping[str, Remembering],
    shares: Mapping[str, Sequence[int]],
    traced: int,
) -> dict[str, Verdict]:
    """Every backend against the first, each on its own share of the samples."""
    oracle, *others = backends
    verdicts = {oracle: compare(program, samples, {oracle: backends[oracle]}, traced=min(traced, len(samples))).oracle}
    for name in others:
        share = shares[name]
        pair = {oracle: backends[oracle], name: backends[name]}
        verdict = compare(program, [samples[i] for i in share], pair, traced=min(traced, len(share))).verdicts[0]
        if verdict.first is not None:
            verdict.first = replace(verdict.first, sample=share[verdict.first.sample])
        verdicts[name] = verdict
    for name, verdict in verdicts.items():
        verdict.seconds = backends[name].seconds
    return verdicts
