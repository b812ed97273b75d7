"""The process that writes what another sent to .npy files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..parts import Part
from ..ports import IntegerModel, IntegerProcess, model_of
from ..recordings import write


class Recorder(IntegerProcess):
    """Keeps one row a step and writes the files of ``parts`` after the last: whole integers, past Lava's own variables.

    One recorder takes all that a process sends, through one port: every step waits for every port.
    """

    INPUTS = ("record_in",)

    def __init__(self, *, parts: Sequence[Part], steps: int, folder: Path) -> None:
        channels = {"record_in": sum(part.columns for part in parts)}
        super().__init__(channels, parts=parts, steps=steps, folder=folder)


@model_of(Recorder)
class RecorderModel(IntegerModel):
    """Integer model of Recorder."""

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Room for all rows."""
        self._parts, self._folder = parameters["parts"], parameters["folder"]
        self._rows = np.zeros((parameters["steps"], sum(part.columns for part in self._parts)), dtype=np.int64)

    def advance(self) -> None:
        """Keep one row; write all after the last."""
        self._rows[self.time_step - 1] = self.record_in.recv()
        if self.time_step == len(self._rows):
            write(self._folder, self._parts, self._rows)
