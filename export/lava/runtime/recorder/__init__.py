"""The process that writes what another sent to .npy files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..ports import IntegerModel, IntegerProcess, model_of
from ..recordings import write
from ..wiring import Wires


class Recorder(IntegerProcess):
    """Keeps one row a step and writes the files of ``wires`` after the last: whole integers, past Lava's own variables.

    One recorder takes all that a process sends, through one port: every step waits for every port.
    """

    INPUTS = ("record_in",)

    def __init__(self, *, wires: Sequence[Wires], steps: int, folder: Path) -> None:
        channels = {"record_in": sum(part.columns for part in wires)}
        super().__init__(channels, wires=wires, steps=steps, folder=folder)


@model_of(Recorder)
class RecorderModel(IntegerModel):
    """Integer model of Recorder."""

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Room for all rows."""
        self._wires, self._folder = parameters["wires"], parameters["folder"]
        self._rows = np.zeros((parameters["steps"], sum(part.columns for part in self._wires)), dtype=np.int64)

    def advance(self) -> None:
        """Keep one row; write all after the last."""
        self._rows[self.time_step - 1] = self.record_in.recv()
        if self.time_step == len(self._rows):
            write(self._folder, self._wires, self._rows)
