"""One float model quantized again and again, by calibration alone: what each setting costs and what it saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

from torch import nn

from ..errors import PumiceError
from ..hw_sim.chips import ChipProfile, check
from ..hw_sim.report.collect import bit_operations
from ..program import Program, ProgramError, digest
from ..program.samples import Sample
from ..quantize.config import QuantizationConfig
from ..quantize.distillation.judge import Judge
from ..quantize.families import family_of
from ..quantize.widths import Place, places_of
from ..train.data.base import TaskDataModule
from .calibrating import Examples, Observed, Refining, calibrated_by, first_samples
from .candidates import Candidate, Judging
from .count import count
from .presets import merged
from .quantize import CALIBRATED


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one setting gives.

    Attributes:
        refused: why no program can be made of it, a sentence; all else is then None.
        program: the program's digest.
        graph: that of the program without what it tells of its making: equal for equal integers.
        method: the calibration that was kept.
        parameter_bits: of the program.
        state_bits: likewise.
        decisions: of the samples that judge.
        correct: those that are right.
        same_class: those that are the float model's.
        kl: divergence of the logits from the float model's, in nats.
        sqnr_db: their signal to noise, in dB; None without noise.
        bit_operations: products left after skipping zeros, times the bits of both operands; a mean an event of the
            samples that are counted; None where none are.
        energy_pj: the upper bound of an event's energy in pJ; likewise.
        breaches: limits of a chip that the program does not keep, place by place; None where none was named.
    """

    refused: str | None = None
    program: str | None = None
    graph: str | None = None
    method: str | None = None
    parameter_bits: int | None = None
    state_bits: int | None = None
    decisions: int | None = None
    correct: int | None = None
    same_class: int | None = None
    kl: float | None = None
    sqnr_db: float | None = None
    bit_operations: float | None = None
    energy_pj: float | None = None
    breaches: int | None = None

    def figures(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> Measured:
        """From plain data.

        Raises:
            TypeError: it is not what `figures` gives.
        """
        texts = ("refused", "program", "method", "graph")
        for name, value in figures.items():
            if value is not None and (type(value) not in ((str,) if name in texts else (int, float))):
                raise TypeError(f"{name} is {value!r:.99}")
        return cls(**figures)


class Bench:
    """A float model whose training samples are observed once, to be quantized by calibration alone.

    Args:
        model: trained, of any family.
        data: its task.
        settings: of quantization, as in section ``quantize`` of a configuration: plain data.
        samples: training samples that calibration looks at; None for all.
        judged: validation samples that judge, drawn by the task's seed; None for all. Of a task without validation
            samples of its own, training samples.
        counted: samples, the first of validation or training, of which operations and energy are counted; 0 for none.
        hardware: the constants of energy, as of `count`.
        chip: that the programs are held against; None for none.
        provenance: what a program tells of its making, by its settings.
        threads: of the simulator.
    """

    def __init__(
        self,
        model: nn.Module,
        data: TaskDataModule,
        settings: Mapping[str, Any],
        *,
        samples: int | None,
        judged: int | None,
        counted: int = 0,
        hardware: str | Mapping[str, Any] = "horowitz-45nm",
        chip: ChipProfile | None = None,
        provenance: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        threads: int | None = None,
    ) -> None:
        self.model, self.data = model, data
        calibration = {**settings["calibration"], "samples": samples, "search": None}
        self._base = merged(settings, {"calibration": calibration, "qat": {"epochs": 0}})
        self._judge = Judge.of_task(data, judged)
        self._reference: Judging = Judging(model, self._judge)
        self._counted, self._hardware, self._threads = counted, hardware, threads
        self._provenance, self._chip = provenance, chip
        self._observer = Observed(lambda: (batch.padded() for batch in data.batches("train")), None)
        self._examples: Examples | None = None

    @cached_property
    def base(self) -> dict[str, Any]:
        """The settings as they stand, with a calibration by samples and a method that are fixed.

        Where both methods are to be tried, they are, and the one nearer to the float model is fixed.

        Raises:
            PumiceError: settings of which no program can be made.
        """
        best, _ = self._calibrated(self._base)
        return merged(self._base, {"calibration": {"method": best.qat.config.calibration.method}})

    @cached_property
    def places(self) -> list[Place]:
        """See `places_of`."""
        best, _ = self._calibrated(self.base)
        return places_of(best.qat)

    @property
    def config(self) -> QuantizationConfig:
        """`base`, checked."""
        return QuantizationConfig.from_mapping(self.base)

    @property
    def judge(self) -> str:
        """What judges: ``validation``, or ``training``."""
        return self._judge.name

    def floats(self) -> dict[str, Any]:
        """Decisions of the float model on the samples that judge, and how many are right."""
        said = self._reference.reference
        return {"decisions": len(said.labels), "correct": int((said.logits.argmax(1) == said.labels).sum())}

    def changed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """`base` with ``changes`` laid over it."""
        return merged(self.base, changes)

    def program(self, settings: Mapping[str, Any]) -> Program:
        """The program of ``settings``, as `pumice quantize` makes it of them.

        Raises:
            PumiceError, ProgramError: none can be made.
        """
        return self._calibrated(settings)[1]

    def measure(self, settings: Mapping[str, Any]) -> Measured:
        """What ``settings`` give."""
        try:
            best, program = self._calibrated(settings)
        except (PumiceError, ProgramError) as error:  # of what cannot be, the sentence is the result
            return Measured(refused=str(error))
        self._reference.look(best)
        said = best.said
        assert said is not None
        operations, energy = self._costs(program)
        return Measured(
            program=digest(program),
            graph=digest(replace(program, provenance={})),
            method=best.qat.config.calibration.method,
            parameter_bits=sum(node.parameter_bits for node in program),
            state_bits=sum(node.state_bits for node in program),
            decisions=len(said.labels),
            correct=int((said.logits.argmax(1) == said.labels).sum()),
            same_class=best.same_class,
            kl=best.kl,
            sqnr_db=best.sqnr_db,
            bit_operations=operations,
            energy_pj=energy,
            breaches=None if self._chip is None else len(check(program, self._chip).breaches),
        )

    def _calibrated(self, settings: Mapping[str, Any]) -> tuple[Candidate, Program]:
        config = QuantizationConfig.from_mapping(settings)
        family = family_of(self.model, config.arithmetic)
        judging = self._reference.anew()
        found = calibrated_by(family, self.model, config, self.data.timing, self._observer, judging)
        best = judging.nearest(found)
        refining = Refining(family, judging)
        best = judging.nearest([best, *refining.corrected(best, self._shown(config.calibration.bias or 0))])
        told = {**self._provenance(settings), "method": CALIBRATED}
        return best, family.lower(best.qat, best.frozen, list(self.data.class_names), told)

    def _shown(self, samples: int) -> Examples:
        if self._examples is None or self._examples.samples != samples:
            self._examples = Examples(self.model, partial(first_samples, self.data), samples)
        return self._examples

    @cached_property
    def _samples(self) -> list[Sample]:
        split = "validation" if self.data.judge else "train"
        return self.data.program_samples(split, self._counted)

    def _costs(self, program: Program) -> tuple[float | None, float | None]:
        """Bit operations and energy of an event."""
        if not self._counted:
            return None, None
        costs = count(program, self._samples, hardware=self._hardware, threads=self._threads)
        energy = costs.energy["integer"].total.high / max(costs.integer.events, 1)
        return bit_operations(costs.integer.to_dict()), energy
