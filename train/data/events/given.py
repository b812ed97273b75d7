"""The data of recordings at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..recordings import Recordings
from ..sources.reduced import reduce
from ..task import TaskConfig
from .datamodule import EventDataModule


class GivenDataModule(EventDataModule):
    """An ``EventDataModule`` of recordings at hand instead of those of a source.

    Args:
        recordings: by split: ``train``, ``test``, and ``validation`` where nothing is to be held out.
        task: everything but the source.
        sizes: the other arguments of ``base.TaskDataModule``.
    """

    def __init__(self, recordings: Mapping[str, Recordings], task: TaskConfig, *sizes: Any) -> None:
        super().__init__(task, *sizes)
        self._given = dict(recordings)

    def _open(self, split: str) -> Recordings:
        return reduce(self._given[split], self.task)

    def _own_validation(self) -> bool:
        return "validation" in self._given
