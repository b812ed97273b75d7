"""One program in several backends, compared bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import BackendUnavailable, PumiceError
from ..hw_sim.parity.compare import Backend, Comparison, Verdict
from ..hw_sim.parity.compare import compare as compare_all
from ..program import Program
from ..program.samples import Sample, Trace
from ..quantize.frozen import FrozenModel
from ..terminal import Table
from .backends import Options, Remembering, make_backend
from .samples import as_samples, told


@dataclass(frozen=True)
class Parity:
    """Whether backends gave the same integers.

    Attributes:
        oracle: the backend that the others were compared with.
        verdicts: by backend, the oracle's own counters among them.
        traces: by backend, one a sample that it was given.
        skipped: why a backend was left out, by its name.
    """

    oracle: str
    verdicts: Mapping[str, Verdict]
    traces: Mapping[str, Sequence[Trace]]
    skipped: Mapping[str, str]

    @property
    def differing(self) -> int:
        """Values that differ from the oracle's, over all backends: has to be 0."""
        return sum(verdict.differing for verdict in self.verdicts.values())

    def table(self) -> Table:
        """The verdicts for people."""
        others = [verdict for name, verdict in self.verdicts.items() if name != self.oracle]
        return Comparison(self.verdicts[self.oracle], others).table()


def compare(
    program: Program,
    samples: Iterable[Any],
    backends: Sequence[str] | Mapping[str, Backend] = ("reference", "run", "step"),
    *,
    traced: int = 3,
    shares: Mapping[str, Sequence[int]] | None = None,
    frozen: FrozenModel[Any] | None = None,
    threads: int | None = None,
    lava: Mapping[str, Any] | None = None,
) -> Parity:
    """Run a program in several backends and compare every integer with the first one's.

    Logits, series and counters are compared of all samples, every edge and state of a few.

    Args:
        program: any.
        samples: see `simulate`.
        backends: two or more names of ``api.backends.BACKENDS`` (``reference``, ``twin``, ``run``, ``step``, ``onnx``,
            ``c``, ``lava``), or callables by name: ``backend(program, samples, trace)`` gives one `Trace` a sample.
        traced: samples of which every edge and state is compared, the first ones of each backend.
        shares: numbers of the samples that a backend gets, by its name; all where none are given, and for the first.
        frozen: the frozen model, which the backend ``twin`` runs.
        threads: of the simulator; all cores if not given.
        lava: further arguments of ``export.lava.run_lava``.

    Returns:
        the verdicts, of which ``differing`` has to be 0. A backend that cannot run the program, or not on this
        machine, is left out as long as two remain, and named in ``skipped``.

    Raises:
        PumiceError: an unknown backend, fewer than two, samples that the program cannot take.
        BackendUnavailable: fewer than two backends can run it.
    """
    options = Options(frozen, threads, lava or {})
    if isinstance(backends, str) or len(backends) < 2 or len(set(backends)) < len(backends):
        raise PumiceError(f"backends={backends} names no two different backends; a comparison needs two or more")
    asked = (
        {name: Remembering(backend) for name, backend in backends.items()}
        if isinstance(backends, Mapping)
        else {name: make_backend(name, options) for name in backends}
    )
    given = as_samples(program, samples)
    with told():
        skipped = _warm_up(program, given, asked)
        numbers = {name: list((shares or {}).get(name, range(len(given)))) for name in asked}
        verdicts = _verdicts(program, given, asked, numbers, traced)
        traces = {name: asked[name](program, [given[i] for i in numbers[name]], False) for name in asked}
    return Parity(next(iter(asked)), verdicts, traces, skipped)


def _warm_up(program: Program, samples: Sequence[Sample], backends: dict[str, Remembering]) -> dict[str, str]:
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


def _verdicts(
    program: Program,
    samples: Sequence[Sample],
    backends: Mapping[str, Remembering],
    shares: Mapping[str, Sequence[int]],
    traced: int,
) -> dict[str, Verdict]:
    """Every backend against the first, each on its own share of the samples."""
    oracle, *others = backends
    verdicts = {
        oracle: compare_all(program, samples, {oracle: backends[oracle]}, traced=min(traced, len(samples))).oracle
    }
    for name in others:
        share = shares[name]
        pair = {oracle: backends[oracle], name: backends[name]}
        verdict = compare_all(program, [samples[i] for i in share], pair, traced=min(traced, len(share))).verdicts[0]
        if verdict.first is not None:
            verdict.first = replace(verdict.first, sample=share[verdict.first.sample])
        verdicts[name] = verdict
    for name, verdict in verdicts.items():
        verdict.seconds = backends[name].seconds
    return verdicts
