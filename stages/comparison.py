"""What backends are compared on: the settings, the program, the test set, and which samples each of them gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..api.backends import BACKENDS
from ..api.programs import load
from ..errors import PumiceError
from ..export.lava import PARTS
from ..program import Program
from ..program.samples import Sample, shortest
from ..quantize.frozen import FrozenModel
from ..quantize.weights import load_frozen
from ..train.data.base import TaskDataModule
from ..train.settings import SystemSettings, TrainingSettings, read_section
from .build import apply_system, build_data
from .compared import Compared, compare_part
from .decisions import TestSet, make_test_set, other_test_sets
from .folder import RunFolder


@dataclass(frozen=True)
class SimulateSettings:
    """Section ``simulate``.

    Attributes:
        backends: what is compared, names of ``api.backends.BACKENDS``; the first is the oracle.
        samples: how many test samples a backend gets, by name: the first ones, of lava the shortest ones; None, or no
            entry, for all.
        traced: samples of which every node's output and state is compared.
        example: the test sample whose running decision is kept for the report.
        lava_parts: which processes make the Lava network, of ``export.lava.PARTS``.
        lava_timeout_s: when a Lava run is given up.
    """

    backends: list[str]
    samples: dict[str, int | None] = field(default_factory=dict)
    traced: int = 4
    example: int = 0
    lava_parts: str = "layers"
    lava_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        unknown = [name for name in (*self.backends, *self.samples) if name not in BACKENDS]
        if unknown:
            raise PumiceError(f"simulate: backend {unknown[0]} is unknown; choose some of: {', '.join(BACKENDS)}")
        if len(self.backends) < 2 or len(set(self.backends)) < len(self.backends):
            raise PumiceError(f"simulate.backends={self.backends} needs two or more backends, each of them once")
        if self.samples.get(self.backends[0]) is not None:
            raise PumiceError(f"simulate.samples: {self.backends[0]} is the oracle and gets all samples")
        counts = {"traced": self.traced, **{f"samples.{name}": count for name, count in self.samples.items()}}
        for name, count in counts.items():
            if count is not None and count < 1:
                raise PumiceError(f"simulate.{name}={count} has to be at least 1")
        if self.lava_parts not in PARTS:
            raise PumiceError(f"simulate.lava_parts={self.lava_parts} is unknown; use one of: {', '.join(PARTS)}")
        if not self.lava_timeout_s > 0:
            raise PumiceError(f"simulate.lava_timeout_s={self.lava_timeout_s} has to be positive")
        if self.example < 0:
            raise PumiceError(f"simulate.example={self.example} has to be the number of a test sample, 0 or more")


@dataclass(frozen=True)
class Prepared:
    """What `simulate` and its parts start from.

    Attributes:
        settings: section ``simulate``.
        system: section ``system``.
        program: of the run folder.
        frozen: the frozen model, which the backend ``twin`` runs.
        data: of the task.
        tests: the whole test set.
        others: the same samples, decided upon by the task's other protocols, by name.
    """

    settings: SimulateSettings
    system: SystemSettings
    program: Program
    frozen: FrozenModel[Any]
    data: TaskDataModule
    tests: TestSet
    others: Mapping[str, TestSet]

    @cached_property
    def shares(self) -> dict[str, list[int]]:
        """The numbers of the test samples that each backend gets, ascending."""
        return {name: share_of(name, self.tests.samples, self.settings) for name in self.settings.backends}

    def compare(self, shares: Mapping[str, Sequence[int]]) -> Compared:
        """Compare backends, each on its share of the test set.

        Raises:
            PumiceError, BackendUnavailable: as `api.compare.compare` does.
        """
        lava = {"parts": self.settings.lava_parts, "timeout_s": self.settings.lava_timeout_s}
        return compare_part(
            self.program,
            self.tests,
            self.others,
            shares,
            traced=self.settings.traced,
            frozen=self.frozen,
            threads=self.system.threads,
            lava=lava,
        )


def prepare(config: Mapping[str, Any], folder: RunFolder) -> Prepared:
    """Read the program and the test set.

    Raises:
        PumiceError: a damaged file, bad settings, no such sample as the example.
    """
    settings = read_section(SimulateSettings, config, "simulate")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    program = load(folder.path / "program.npz")
    frozen, _ = load_frozen(folder.path / "quantized.safetensors")
    tests, others = make_test_set(config, data), other_test_sets(config, data)
    if settings.example >= len(tests.samples):
        raise PumiceError(f"simulate.example={settings.example}, but the test set has {len(tests.samples)} samples")
    return Prepared(settings, system, program, frozen, data, tests, others)


def share_of(name: str, samples: Sequence[Sample], settings: SimulateSettings) -> list[int]:
    """The numbers of the test samples that a backend gets, ascending."""
    count = settings.samples.get(name)
    if count is None or count >= len(samples):
        return first(len(samples))
    return shortest(samples, count) if BACKENDS[name].slow else first(count)


def first(count: int) -> list[int]:
    """The numbers of the first ``count`` samples."""
    return list(range(count))
