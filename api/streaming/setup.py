"""What a stream is made of: a program or a float model, and how its task says that events are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from torch import nn

from ...errors import PumiceError
from ...program import Program
from ...train.data.inputs import Timing
from ...train.data.sequences.binned import BinnedTask
from ...train.data.sequences.kinds import sequence_task
from ...train.data.sequences.task import SequenceTask
from ...train.data.task import TaskConfig, task_config
from ..models import load_model
from ..presets import usable
from ..program_files import load_program
from ..runs import open_run
from .encoding import Clock, Encoder, EventEncoder, Pixels, RowEncoder, StepEncoder, unit_of
from .engines import Engine, IntegerEngine, check_read_out
from .faults import Faults

BACKENDS = ("integer", "float")
STEP_US = 1000
"""Of steps of no stated length."""


@dataclass(frozen=True)
class Source:
    """How a source's events are written down.

    Attributes:
        sensor: (channels,) or (width, height, polarities); None: as the task says.
        unit: of the times, "us", "ms" or "s".
        polarity: the codes [off, on]; None: 0 and 1, or as the task says.
        unwrap: count on where a clock of 32 bits begins anew; None: as the task says.
    """

    sensor: Sequence[int] | None = None
    unit: str = "us"
    polarity: Sequence[int] | None = None
    unwrap: bool | None = None


def model_at(path: str | Path, backend: str) -> tuple[Program | nn.Module, Mapping[str, Any] | None, tuple[str, ...]]:
    """The program or the float model of a file or a run folder, the settings of its task, and names of its classes.

    Raises:
        PumiceError: there is none, or it is damaged.
    """
    if backend not in BACKENDS:
        raise PumiceError(f"backend={backend} is unknown; choose one of {', '.join(BACKENDS)}")
    path = Path(path)
    if backend == "integer":
        program = load_program(path / "program.npz" if path.is_dir() else path)
        return program, task_of(program), program.class_names
    if not path.is_dir():
        raise PumiceError(f"backend=float runs the float model of a run folder, and {path} is none; give run_dir=...")
    run = open_run(path)
    task = run.config.get("task")
    known = run.program.class_names if (path / "program.npz").is_file() else ()
    return load_model(path), task if isinstance(task, Mapping) else None, known


def task_of(program: Program) -> Mapping[str, Any] | None:
    """The settings of the task that a program was made for; None where it does not say."""
    config = program.provenance.get("config")
    task = config.get("task") if isinstance(config, Mapping) else None
    return task if isinstance(task, Mapping) else None


def configured(settings: Mapping[str, Any] | None) -> TaskConfig | SequenceTask | None:
    """The task of settings.

    Raises:
        PumiceError: a setting outside its limits.
    """
    if settings is None:
        return None
    with usable("task"):
        return task_config(settings) if settings.get("kind") is None else sequence_task(settings)


def make_engine(
    model: Program | nn.Module,
    task: TaskConfig | SequenceTask | None,
    class_names: Sequence[str],
    window: int | None,
    forget: int | None,
) -> Engine:
    """What runs ``model``.

    Raises:
        PumiceError: settings of the read-out out of their limits, or a model that cannot run a stream.
    """
    check_read_out(window, forget)
    if isinstance(model, Program):
        return IntegerEngine(model, window, forget)
    from .float_engines import EventEngine, StepEngine

    config: Any = getattr(model, "config", None)
    steps = hasattr(model, "initial_state")
    if config is None or not (steps or hasattr(model, "init_state")) or getattr(config, "bidirectional", False):
        raise PumiceError(f"a {type(model).__name__} cannot run a stream; use a causal model of Pumice")
    names = tuple(class_names) if class_names else tuple(map(str, range(config.num_classes)))
    if steps:
        return StepEngine(model, names, Timing(), window, forget)
    timing = Timing(tick_ms=task.tick_ms, pairing=task.pairing) if isinstance(task, TaskConfig) else Timing(tick_ms=0.5)
    return EventEngine(model, names, timing, window, forget)


def make_encoder(
    model: Program | nn.Module, task: TaskConfig | SequenceTask | None, source: Source, faults: Faults
) -> Encoder:
    """From what a source writes to what ``model`` reads.

    Raises:
        PumiceError: a sensor that does not fit the model, or settings out of their limits.
    """
    vocab, features, step_us, clocked = _inputs_of(model)
    unit_us = unit_of(source.unit)
    unwrap = bool(getattr(task, "unwrap_times", False)) if source.unwrap is None else source.unwrap
    if vocab is not None:
        pixels = _pixels(task, source, vocab)
        return EventEncoder(pixels, unit_us, unwrap, faults)
    assert features is not None
    if isinstance(task, BinnedTask) and source.sensor is None:
        if task.in_features != features:
            raise PumiceError(f"task {task.name} gives {task.in_features} values a step, the model reads {features}")
        pixels = Pixels((task.channels,))
        return StepEncoder(pixels, unit_us, unwrap, faults, task.group, 1000 * task.bin_ms, 1000)
    step_us = step_us or getattr(task, "step_us", None) or STEP_US
    if source.sensor is not None:
        if len(source.sensor) != 1 or source.sensor[0] < 1 or source.sensor[0] % features:
            raise PumiceError(
                f"sensor={list(source.sensor)} does not fit a model of {features} channels; give [{features}], or a "
                "multiple whose neighbours are counted together"
            )
        group = source.sensor[0] // features
        return StepEncoder(Pixels((source.sensor[0],)), unit_us, unwrap, faults, group, step_us, 1)
    return RowEncoder(features, step_us, Clock(unit_us, unwrap, faults), timed=not clocked)


def _inputs_of(model: Program | nn.Module) -> tuple[int | None, int | None, int | None, bool]:
    """The vocabulary, or the values of a row; the length of a step; and whether rows are steps of a clock."""
    if isinstance(model, Program):
        source = model.value_input
        dense = bool(source.event_shape)
        vocab = None if dense else source.code_range[1] + 1
        return vocab, source.channels if dense else None, model.step_us, model.clocked
    config: Any = model.config
    vocab = getattr(config, "vocab", None)
    return vocab, None if vocab is not None else config.in_features, None, hasattr(model, "initial_state")


def _pixels(task: TaskConfig | SequenceTask | None, source: Source, vocab: int) -> Pixels:
    polarity: tuple[int, int] | None = (0, 1)
    if isinstance(task, TaskConfig):
        sensor, token, downsample = task.sensor, task.token, task.downsample
        given = task.files.polarity
        polarity = None if given == "ignore" else given if isinstance(given, tuple) else polarity
        if source.sensor is not None and tuple(source.sensor) != tuple(sensor):
            raise PumiceError(f"sensor={list(source.sensor)} is not task {task.name}'s, {list(sensor)}; leave it out")
    else:
        sensor = tuple(source.sensor or (vocab,))
        token, downsample = "channel" if len(sensor) == 1 else "pixel", 1
    if source.polarity is not None:
        if len(source.polarity) != 2 or source.polarity[0] == source.polarity[1]:
            raise PumiceError(f"polarity={list(source.polarity)} is no coding; give [off,on]")
        polarity = (int(source.polarity[0]), int(source.polarity[1]))
    pixels = Pixels(tuple(sensor), token, downsample, polarity)
    if len(sensor) not in (1, 3) or min(sensor) < 1 or prod(pixels.grid) != vocab:
        raise PumiceError(
            f"the sensor {list(sensor)} has not as many places as the model has tokens, {vocab}; give sensor=[...]"
        )
    return pixels
