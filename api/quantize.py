"""From a float model to its integer program: calibrate, fine-tune, freeze, lower."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import PumiceError
from ..files import write_json
from ..program import Program, save
from ..quantize.config import QuantizationConfig
from ..quantize.distillation.judge import TRAINING, VALIDATION, Judge
from ..quantize.families import family_of
from ..quantize.family import Family
from ..quantize.frozen import FrozenModel
from ..quantize.lowering import Report
from ..quantize.qat import fine_tune
from ..quantize.qat_model import QATModel
from ..quantize.tuning import FamilyTuning
from ..quantize.weights import save_frozen
from ..records import versions
from ..terminal import Table
from ..train.data.base import TaskDataModule
from ..train.data.batch import Batch, PaddedBatch
from ..train.data.inputs import Inputs, Timing
from ..train.data.listed import ListedData
from ..train.evaluate import Predictions
from ..train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section
from .batches import Batches, as_batches, labelled, with_targets
from .calibrating import Examples, Observed, Refining, calibrated_by, first_samples
from .candidates import Choice, Judging
from .data import read_as
from .presets import merged, preset, preset_names, settings_of

CALIBRATED = "ptq"
"""The calibrated model: post-training quantization."""
TUNED = "qat"
"""The fine-tuned one: quantization-aware training."""


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """What `quantize` made of a model.

    Attributes:
        program: the integer program, for `simulate`, `compare`, `count` and the exports.
        frozen: the same as a PyTorch model: in float64 its logits are the program's, bit for bit.
        qat: the QAT model that was frozen: fake quantization with gradients, for further training.
        report: what lowering cost: its ``layers`` are plain data, dead zones, wide registers, clipped weights of each.
        chosen: ``CALIBRATED`` or ``TUNED``, whichever of the two diverges less from the float model on the samples that
            choose.
        candidates: the frozen models of both, by these names; one alone where nothing was tuned.
        choice: what was chosen, among what, and by what.
        judged: what both said of the samples that choose, by the same names; empty where nothing was to be chosen.
        best: epoch and divergence of the fine-tuned weights; None where nothing was tuned.
        seconds: of fine-tuning.
    """

    program: Program
    frozen: FrozenModel[Any]
    qat: QATModel[Any, Any, Any]
    report: Report
    chosen: str = CALIBRATED
    candidates: Mapping[str, FrozenModel[Any]] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice)
    judged: Mapping[str, Predictions] = field(default_factory=dict)
    best: Mapping[str, float] | None = None
    seconds: float = 0.0

    def table(self) -> Table:
        """The report for people."""
        return self.report.table()

    def save(self, folder: str | Path) -> str:
        """Write program.npz, quantized.safetensors (the frozen model) and lowering.json; returns the program's digest.

        Raises:
            PumiceError, ProgramError: the folder cannot be written to.
        """
        folder = Path(folder)
        save_frozen(folder / "quantized.safetensors", self.frozen, dict(self.program.provenance))
        digest = save(self.program, folder / "program.npz")
        write_json(folder / "lowering.json", {"program": digest, "layers": self.report.layers})
        return digest


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How `quantize` fine-tunes; how long, and how fast, its configuration says.

    Attributes:
        recipe: training settings of the float model.
        seed: of the random numbers drawn while training.
        folder: for checkpoints and logs; fine-tuning continues from there. None for a temporary one.
        system: threads and device.
        logs: what to tell.
        info: kept in the metadata of the weights, plain JSON data.
    """

    recipe: TrainingSettings
    seed: int = 0
    folder: Path | None = None
    system: SystemSettings = field(default_factory=SystemSettings)
    logs: LoggingSettings = field(default_factory=lambda: LoggingSettings(csv=False, tensorboard=False, progress=False))
    info: Mapping[str, Any] = field(default_factory=dict)


def quantize(
    model: nn.Module,
    batches: TaskDataModule | Iterable[Any],
    config: str | Mapping[str, Any] | QuantizationConfig = "w8a8",
    *,
    fine_tune: bool | str | Mapping[str, Any] | Tuning = False,
    validation: Iterable[Any] | None = None,
    class_names: Sequence[str] | None = None,
    timing: Timing | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Quantized:
    """Quantize a trained float model of any family and lower it to an integer program; the model stays as it is.

    Calibration sets the scales by what the model does with the batches. Fine-tuning, where it is asked for, trains the
    fake-quantized model to say of them what the float model says. Of all that was made the model whose logits diverge
    least from the float model's on validation is frozen and lowered.

    Args:
        model: of `build_model` or `load_model`.
        batches: what it was trained on: a task's data (`load_data`), torch batches (`make_batches`, or a loader of
            your own, see `batches.as_batches`), or plain (values, times_us) samples, which serve calibration alone.
        config: a preset of configs/quantize (``"w8a8"``, ``"w4a8"``, ``"w2a8"``, ``"loihi"``); a mapping of settings
            that replace those of the preset it calls its ``name``; or a `QuantizationConfig`. Its section ``qat`` says
            for how many epochs to fine-tune, and at which share of the recipe's learning rates.
        fine_tune: True to fine-tune by the recipe of the embedded data; or the name of a recipe (configs/training),
            its settings, or all of a `Tuning`.
        validation: batches that choose the calibration, the epoch, and between calibrated and fine-tuned. If not given,
            a task's validation split, or training samples where it has none; of other data ``batches`` themselves.
        class_names: one a logit; if not given those of the task, or numbers.
        timing: of torch batches of your own; tasks and `make_batches` know theirs.
        provenance: plain JSON data to keep in the program; if not given, settings and package versions.

    Raises:
        PumiceError: a model of no family, unknown settings or settings that do not fit it, batches that it cannot
            read or that lack labels, or a program that cannot be made; names the layer and the way out.
    """
    settings = quantization_config(config)
    family = family_of(model, settings.arithmetic)
    source = _Source.of(model, family.reads, batches, validation, timing)
    names = list(class_names or source.class_names)
    judging = Judging(model, source.judge())
    observer = Observed(source.inputs, source.samples)
    calibrated = calibrated_by(family, model, settings, source.timing, observer, judging)
    refining = Refining(family, judging)
    searched = Examples(model, source.first, settings.calibration.search or 0)
    shown = Examples(model, source.first, settings.calibration.bias or 0)
    if searched.samples:
        calibrated += refining.searched(judging.nearest(calibrated), calibrated, searched)
    begun = judging.nearest(calibrated)
    kept = {CALIBRATED: judging.nearest([begun, *refining.corrected(begun, shown)])}
    best, seconds = None, 0.0
    tuning, asked = settings.qat.of(family.name), _tuning(fine_tune, family)
    told = {"config": {"quantize": asdict(settings)}, "versions": versions()} if provenance is None else provenance
    if asked is not None and tuning.epochs:
        family.lower(begun.qat, begun.frozen, names, told)  # what no program can hold is told before hours of work
        start = time.monotonic()
        qat = refining.copied(begun)  # its ranges, and the float model, which teaches
        best = _fine_tune(qat, source.training(tuning.loss == "labels"), judging.judge, tuning, asked)
        seconds = time.monotonic() - start
        tuned = judging.candidate(f"fine-tuned, epoch {best['epoch']}", qat)
        kept[TUNED] = judging.nearest([tuned, *refining.corrected(tuned, shown)])
    chosen = judging.nearest(list(kept.values()))
    name = next(name for name, one in kept.items() if one is chosen)
    program = family.lower(chosen.qat, chosen.frozen, names, {**told, "method": name})
    return Quantized(
        program=program,
        frozen=chosen.frozen,
        qat=chosen.qat,
        report=family.report(chosen.qat, program),
        chosen=name,
        candidates={name: one.frozen for name, one in kept.items()},
        choice=judging.choice(chosen),
        judged={name: one.said for name, one in kept.items() if one.said is not None},
        best=best,
        seconds=seconds,
    )


def quantization_config(config: str | Mapping[str, Any] | QuantizationConfig) -> QuantizationConfig:
    """The settings that a preset's name, or a mapping laid over the preset it names, stands for.

    Raises:
        PumiceError: an unknown preset or setting, or a value outside its limits.
    """
    if isinstance(config, QuantizationConfig):
        return config
    values = settings_of("quantize", config)
    if not isinstance(config, str):
        base = values.get("name", "w8a8")
        values = merged(preset("quantize", base), values) if base in preset_names("quantize") else values
    return QuantizationConfig.from_mapping(values)


@dataclass(frozen=True)
class _Source:
    """What a model is calibrated, fine-tuned and judged by: a task's data, or batches at hand."""

    data: TaskDataModule | None
    batches: Batches | None
    validation: Batches | None
    timing: Timing
    class_names: Sequence[str]
    every: int | None

    @classmethod
    def of(cls, model: Any, reads: str, given: Any, validation: Any, timing: Timing | None) -> _Source:
        every = getattr(model.config, "answers_every", None)
        if not isinstance(given, TaskDataModule):
            batches = as_batches(model, given, timing)
            judges = batches if validation is None else as_batches(model, validation, batches.timing)
            numbers = [str(number) for number in range(model.config.num_classes)]
            return cls(None, batches, judges, batches.timing, numbers, every)
        if validation is not None:
            raise PumiceError(f"{given.task.name} has a validation split of its own; leave out validation")
        given = read_as(given, reads, every)
        if wrong := {name: size for name, size in given.model_inputs.items() if getattr(model.config, name) != size}:
            told = ", ".join(f"{name}={size} and not {getattr(model.config, name)}" for name, size in wrong.items())
            raise PumiceError(f"task {given.task.name} has {told}, as the model has; choose the task it was trained on")
        return cls(given, None, None, timing or given.timing, given.class_names, every)

    def inputs(self) -> Iterator[Inputs]:
        """What calibration sees."""
        batches: Iterable[PaddedBatch | Inputs] = self.data.batches("train") if self.data else self.batches or ()
        return (batch if isinstance(batch, Inputs) else batch.padded() for batch in batches)

    @property
    def samples(self) -> int | None:
        """How many samples `inputs` has, where that is known."""
        return len(self.data.samples("train")) if self.data else None

    def first(self, samples: int) -> list[Batch]:
        """Batches of so many training samples, or a few more; of a task they are drawn by its seed."""
        if self.data is not None:
            return first_samples(self.data, samples)
        found: list[Batch] = []
        for batch in self.batches or ():
            if samples > 0:
                one = with_targets(batch, self.every)
                found.append(one)
                samples -= len(one.padded().lengths)
        return found

    def training(self, labels: bool) -> TaskDataModule | ListedData:
        """What fine-tuning trains on, with or without labels that mean something."""
        if self.data is not None:
            return self.data
        batches: Batches | tuple[()] = self.batches or ()
        listed = labelled(batches) if labels else [with_targets(batch, self.every) for batch in batches]
        return ListedData(listed, (), len(self.class_names))

    def judge(self) -> Judge:
        """What chooses."""
        if self.data is not None:
            return Judge.of_task(self.data)
        name = TRAINING if self.validation is self.batches else VALIDATION
        return Judge.of_batches(name, [with_targets(batch, self.every) for batch in self.validation or ()])


def _tuning(given: bool | str | Mapping[str, Any] | Tuning, family: Family[Any, Any, Any]) -> Tuning | None:
    if isinstance(given, Tuning):
        return given
    if given is False:
        return None
    recipe = settings_of("training", family.recipe if given is True else given)
    return Tuning(recipe=read_section(TrainingSettings, {"training": recipe}, "training"))


def _fine_tune(
    qat: QATModel[Any, Any, Any], data: TaskDataModule | ListedData, judge: Judge, tuning: FamilyTuning, asked: Tuning
) -> dict[str, float]:
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pumice-")))
        return fine_tune(
            qat,
            data,
            judge,
            folder,
            tuning,
            training=asked.recipe,
            system=asked.system,
            logs=asked.logs,
            seed=asked.seed,
            info=dict(asked.info),
        )
