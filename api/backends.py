"""The backends that compute programs, by name: callables as ``hw_sim.parity.compare`` takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import PumiceError
from ..hw_sim import simulator
from ..hw_sim.parity.compare import Backend
from ..program import Program, reference
from ..program.samples import Sample, Trace, check
from ..quantize.frozen import FrozenModel
from ..terminal import track
from .frozen import run_frozen

PADDED_EVENTS = 250_000
"""Events, padding included, of one batch of the reference: about 1 GB for a network of 50 wide edges."""


@dataclass(frozen=True)
class Options:
    """What backends may be told.

    Attributes:
        frozen: the frozen model behind ``twin``.
        threads: of the simulator; None: all cores.
        lava: further arguments of ``export.lava.run_lava``.
    """

    frozen: FrozenModel[Any] | None = None
    threads: int | None = None
    lava: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BackendKind:
    """One way to compute a program.

    Attributes:
        summary: what computes it.
        make: the backend.
        slow: it takes about a millisecond an event, so that comparisons give it the shortest samples.
    """

    summary: str
    make: Callable[[Options], Remembering]
    slow: bool = False


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
    for chosen in track(_of_alike(samples, order), "reference, samples", len(order), size=len):
        batch = [samples[index] for index in chosen]
        for index, found in zip(chosen, reference.run(program, batch, trace=trace, batch_size=len(batch)), strict=True):
            traces[index] = found
    return [found for found in traces if found is not None]


def _of_alike(samples: Sequence[Sample], order: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers of samples of similar length, as many as `PADDED_EVENTS` has room for, or one."""
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * len(samples[order[stop]][1]) <= PADDED_EVENTS:
            stop += 1
        yield order[start:stop]
        start = stop


def _reference(options: Options) -> Remembering:
    return Remembering(run_reference)


def _twin(options: Options) -> Remembering:
    frozen = options.frozen
    if frozen is None:
        raise PumiceError("the backend 'twin' runs the frozen model; give it as frozen=... (quantize gives it)")
    return Remembering(lambda program, samples, trace: run_frozen(frozen, program, samples, trace))


def _run(options: Options) -> Remembering:
    return Remembering(lambda *asked: simulator.run(*asked[:2], trace=asked[2], threads=options.threads))


def _step(options: Options) -> Remembering:
    return Remembering(lambda *asked: simulator.run_stepwise(*asked[:2], trace=asked[2], threads=options.threads))


def _onnx(options: Options) -> Remembering:
    from ..export.onnx.backend import run_onnx

    return Remembering(run_onnx)


def _lava(options: Options) -> Remembering:
    from ..export.lava import ensure_environment, run_lava

    return Remembering(partial(run_lava, **options.lava), prepare=ensure_environment, traces_always=True)


def _c(options: Options) -> Remembering:
    from ..export.c import CBackend

    return Remembering(CBackend())


BACKENDS: dict[str, BackendKind] = {
    "reference": BackendKind("the plain numpy reference", _reference),
    "twin": BackendKind("the frozen QAT model, in PyTorch and float64", _twin),
    "run": BackendKind("the simulator over whole samples", _run),
    "step": BackendKind("the simulator, one event at a time", _step),
    "onnx": BackendKind("the ONNX sequence model in onnxruntime", _onnx),
    "c": BackendKind("the C program, compiled by the compiler of this machine", _c),
    "lava": BackendKind("the Lava network, in an interpreter of its own", _lava, slow=True),
}
"""A further backend is one more entry."""


def make_backend(name: str, options: Options | None = None) -> Remembering:
    """The backend ``name``, one of ``BACKENDS``.

    Raises:
        PumiceError: there is none of this name, or it lacks what it needs.
    """
    if name not in BACKENDS:
        raise PumiceError(f"backend {name} is unknown; choose some of: {', '.join(BACKENDS)}")
    return BACKENDS[name].make(options or Options())
