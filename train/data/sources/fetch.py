"""Where tonic keeps the files of a data set, and how it fetches them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

from ....errors import PumiceError
from ..task import TaskConfig


def root_of(task: TaskConfig) -> Path:
    """The folder where tonic keeps the files of a task.

    Raises:
        PumiceError: none is given.
    """
    if task.root is None:
        raise PumiceError(f"task {task.name} is not embedded; give the folder that holds its files as task.root")
    return Path(task.root).expanduser()


def fetch(task: TaskConfig, missing: Path, download: Callable[[], object]) -> None:
    """Let tonic download the files if the task says so.

    Raises:
        PumiceError: it does not say so, or the download fails.
    """
    if not task.download:
        raise PumiceError(
            f"data set {task.name}: {missing} does not exist; set task.root to the folder where tonic keeps its files "
            "or let tonic download them with task.download=true"
        )
    try:
        download()
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:
        raise PumiceError(
            f"data set {task.name} could not be downloaded to {missing.parent} ({error}); fetch it by hand or try again"
        ) from error
