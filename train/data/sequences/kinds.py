"""The kinds of tasks with a regular time step, by the name that ``task.kind`` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ....errors import PumiceError
from ..images.pathfinder import PathfinderTask
from ..images.task import GreyCifar10Task, MnistTask
from ..task import Validation
from ..text.aan import AanTask
from ..text.imdb import ImdbTask
from ..text.listops import ListOpsTask
from .binned import BinnedTask
from .bsd import BsdTask
from .camera_rows import CameraRowsTask
from .denoise import DenoiseTask
from .ecg import EcgTask
from .oscillation import OscillationTask
from .speech_commands import SpeechCommandsTask
from .task import SequenceTask

KINDS: dict[str, type[SequenceTask]] = {
    "ecg": EcgTask,
    "bsd": BsdTask,
    "oscillation": OscillationTask,
    "binned": BinnedTask,
    "denoise": DenoiseTask,
    "mnist": MnistTask,
    "cifar10-grey": GreyCifar10Task,
    "pathfinder": PathfinderTask,
    "listops": ListOpsTask,
    "imdb": ImdbTask,
    "aan": AanTask,
    "speech-commands": SpeechCommandsTask,
    "camera-rows": CameraRowsTask,
}


def sequence_task(values: Mapping[str, Any]) -> SequenceTask:
    """Build the task from plain values, as they stand in configs/task/*.yaml.

    Raises:
        PumiceError: a key is unknown or missing, or a value is out of range.
    """
    values = dict(values)
    kind = values.pop("kind", None)
    if kind not in KINDS:
        raise PumiceError(f"task.kind={kind} is unknown; choose one of {', '.join(KINDS)}")
    known = [entry.name for entry in fields(KINDS[kind])]
    for key in values:
        if key not in known:
            raise PumiceError(f"task.{key} is unknown; the keys are {', '.join(known)}")
    try:
        if values.get("validation") is not None:
            values["validation"] = Validation(**values["validation"])
        return KINDS[kind](**values)
    except TypeError as error:
        raise PumiceError(f"the settings of task.kind={kind} are not complete or not known: {error}") from error
