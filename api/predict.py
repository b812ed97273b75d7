"""`predict`: the class of recordings that nobody has labelled, as a run's own data would be read."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import PumiceError
from ..hw_sim.simulator import run
from ..program import Program, digest
from ..program.samples import Sample
from ..train.data.base import TaskDataModule
from ..train.data.events.given import GivenDataModule
from ..train.data.recordings import Recordings
from ..train.data.sequences.binned import BinnedSet, BinnedTask
from ..train.data.sequences.datamodule import SequenceDataModule
from ..train.data.sources.given_files import open_given
from ..train.data.task import TaskConfig
from ..train.data.times import UNITS
from .arrays import recordings_of
from .presets import kind_of
from .runs import open_run
from .samples import decide, told
from .streaming.setup import configured, model_at, task_of

BACKENDS = ("integer", "float", "onnx")
SEQUENCE = "onnx/sequence.onnx"


@dataclass(frozen=True)
class Prediction:
    """What a model says of a recording.

    Attributes:
        name: the file, with the number of the recording where it holds several; ``recording N`` of arrays.
        index: the class; ties go to the lowest.
        class_name: its name.
        class_names: of all classes.
        scores: (classes,) logits, float64; of integers by the scale of their codes.
        logits: (classes,) integer codes of a program, the float model's values.
        margin: how far the next score lies below.
        events: that the model read, or steps.
        duration_us: of the recording as the model read it, in microseconds.
        seconds: that the model took, reading the file not included.
    """

    name: str
    index: int
    class_name: str
    class_names: tuple[str, ...]
    scores: NDArray[np.float64]
    logits: NDArray
    margin: float
    events: int
    duration_us: int
    seconds: float


class _Given(SequenceDataModule):
    """Recordings at hand in bins."""

    def __init__(self, recordings: Recordings, task: BinnedTask) -> None:
        super().__init__(task, 1, 1, 0)
        self._recordings, self._binned = recordings, task

    def _open(self, split: str) -> BinnedSet:
        return BinnedSet(self._recordings, self._binned)


class _Backend(ABC):
    """Logits of recordings."""

    class_names: tuple[str, ...]
    scale = 1.0

    @abstractmethod
    def logits(self, data: TaskDataModule) -> Iterator[tuple[NDArray, Sample, float]]:
        """Logits (C,) of each recording, what a program reads of it, and the seconds it took."""


class _Integer(_Backend):
    """A program in the simulator."""

    def __init__(self, program: Program, threads: int | None) -> None:
        self.class_names, self.scale = program.class_names, program[program.logits].output.scale
        self._program, self._threads, self._warm = program, threads, False

    def compute(self, sample: Sample) -> NDArray:
        """The logits of one recording."""
        return run(self._program, [sample], threads=self._threads)[0].logits

    def logits(self, data: TaskDataModule) -> Iterator[tuple[NDArray, Sample, float]]:
        """See `_Backend.logits`."""
        for sample in data.program_samples("test"):
            with told():
                if not self._warm:  # what is compiled is loaded before anybody looks at the clock
                    self.compute(sample)
                    self._warm = True
                started = time.perf_counter()
                found = self.compute(sample)
            yield found, sample, time.perf_counter() - started


class _Onnx(_Integer):
    """A program in onnxruntime, as it was exported."""

    def __init__(self, program: Program, path: Path) -> None:
        from ..export.onnx.session import Session

        super().__init__(program, None)
        self._session = Session(path)
        exported = self._session.metadata.get("program_digest")
        if exported != digest(program):
            raise PumiceError(
                f"{path} is another program's; export anew (pumice export target=onnx redo=[export-onnx])"
            )

    def compute(self, sample: Sample) -> NDArray:
        """The logits of one recording."""
        from ..export.onnx.session import run_sequence

        return run_sequence(self._session, self._program, [sample], workers=1)[0]


class _Float(_Backend):
    """A float model, one recording at a time."""

    def __init__(self, model: nn.Module, class_names: Sequence[str]) -> None:
        config: Any = model.config
        self._model, self._warm = model.eval(), False
        self.class_names = tuple(class_names) or tuple(map(str, range(config.num_classes)))

    def logits(self, data: TaskDataModule) -> Iterator[tuple[NDArray, Sample, float]]:
        """See `_Backend.logits`."""
        for batch, sample in zip(data.batches("test", 1), data.program_samples("test"), strict=True):
            with torch.inference_mode():
                if not self._warm:
                    batch.apply(self._model)
                    self._warm = True
                started = time.perf_counter()
                found = batch.apply(self._model)[0][0].double().numpy()
            yield found, sample, time.perf_counter() - started


def predict(
    model: Program | nn.Module | str | Path,
    recordings: Iterable[Any],
    *,
    backend: str = "integer",
    task: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
    unit: str | None = None,
    threads: int | None = None,
) -> Iterator[Prediction]:
    """The class and the scores of each recording, one after the other.

    A recording is read, cut and turned into tokens or steps as the task that the model was made for reads its own
    test recordings, so that the logits are those that ``evaluate`` and ``simulate`` find.

    Args:
        model: a program, a float model, or the path of a program or of a run folder.
        recordings: files of events or of sound (a file in SHD's layout holds many), or arrays as `make_data` takes
            them.
        backend: of a run folder, its "integer" program in the simulator, its "float" model, or the program in "onnx"
            (onnxruntime), as it was exported.
        task: settings of configs/task that say how recordings are read; those that the model was made for, if not
            given.
        class_names: of a float model; numbers if not given.
        unit: of the times, "us", "ms" or "s"; as the format or the task says, if not given.
        threads: of the simulator; all cores if not given.

    Raises:
        PumiceError: a model or a file that is none, a recording that cannot be right, or a task of other samples than
            recordings of events.
    """
    if isinstance(recordings, (str, Path, Mapping)):
        raise PumiceError(f"recordings are a list, not {kind_of(recordings)}; put a single one into brackets")
    if unit is not None and unit not in UNITS.values():
        raise PumiceError(f"unit={unit} is unknown; choose one of {', '.join(UNITS.values())}")
    chosen, settings = _model(model, backend, class_names, threads, task)
    told_task = configured(settings)
    if not isinstance(told_task, (TaskConfig, BinnedTask)):
        name = "of no known task" if told_task is None else f"of task {told_task.name}"
        raise PumiceError(
            f"the model is {name}, which reads no recordings of events; use 'pumice stream' for rows, or give task="
        )
    if getattr(told_task, "answers", "sequence") != "sequence":
        raise PumiceError(
            f"task {told_task.name} asks for values at every step, and predict names one class a recording; use "
            "'pumice stream', or pumice.simulate, whose traces have the series"
        )
    return _predictions(chosen, told_task, recordings, unit)


def _model(
    model: Any, backend: str, class_names: Sequence[str], threads: int | None, task: Mapping[str, Any] | None
) -> tuple[_Backend, Mapping[str, Any] | None]:
    if backend not in BACKENDS:
        raise PumiceError(f"backend={backend} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(model) if isinstance(model, (str, Path)) else None
    if backend == "onnx" and (path is None or not path.is_dir()):
        raise PumiceError("backend=onnx runs the exported model of a run folder; name that")
    if path is not None:
        model, found, names = model_at(path, "float" if backend == "float" else "integer")
        task, class_names = found if task is None else task, class_names or names
        if backend == "onnx":
            open_run(path)
            return _Onnx(model, path / SEQUENCE), task
    elif not isinstance(model, (Program, nn.Module)):
        raise PumiceError(f"predict takes a program or a float model, not {kind_of(model)}")
    if isinstance(model, Program):
        return _Integer(model, threads), task_of(model) if task is None else task
    return _Float(model, class_names), task


def _predictions(
    backend: _Backend, task: TaskConfig | BinnedTask, recordings: Iterable[Any], unit: str | None
) -> Iterator[Prediction]:
    events = task.events if isinstance(task, BinnedTask) else task
    events = _in_unit(events, unit)
    for number, given in enumerate(recordings):
        if isinstance(given, (str, Path)):
            name, opened = str(given), open_given(Path(given), events, backend.class_names)
        else:
            name = f"recording {number}"
            opened = recordings_of(name, [given], np.zeros(1, np.int64), ("",), events, unit or "us")
        data: TaskDataModule = (
            _Given(opened, task) if isinstance(task, BinnedTask) else GivenDataModule({"test": opened}, events, 1, 1, 0)
        )
        several = len(opened.lengths) > 1
        for index, (logits, (values, times), seconds) in enumerate(backend.logits(data)):
            best, scores, margin = decide(logits, backend.scale)
            yield Prediction(
                name=f"{name}#{index}" if several else name,
                index=best,
                class_name=backend.class_names[best],
                class_names=backend.class_names,
                scores=scores.astype(np.float64),
                logits=logits,
                margin=margin,
                events=len(values),
                duration_us=int(times[-1] - times[0]) if len(times) else 0,
                seconds=seconds,
            )


def _in_unit(task: TaskConfig, unit: str | None) -> TaskConfig:
    return task if unit is None else replace(task, files=replace(task.files, unit=unit))
