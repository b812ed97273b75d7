"""The process that feeds the network: one event, or one time step of a clocked network, a step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..head import COLUMNS
from ..ports import IntegerModel, IntegerProcess, model_of
from ..progress import PROGRESS, STEPS_BETWEEN


class Source(IntegerProcess):
    """Sends row k of each array at step k, and after the last row nothing valid.

    Shapes: ``values`` (rows, channels), ``heads`` (rows, 3); int64.
    """

    OUTPUTS = ("value_out", "head_out")

    def __init__(self, *, values: np.ndarray, heads: np.ndarray) -> None:
        channels = {"value_out": values.shape[1], "head_out": COLUMNS}
        super().__init__(channels, values=values, heads=heads, name="source")


@model_of(Source)
class SourceModel(IntegerModel):
    """Integer model of Source."""

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Take the arrays."""
        self._arrays = parameters["values"], parameters["heads"]

    def advance(self) -> None:
        """Send one row; Lava counts steps from 1."""
        for port, array in zip((self.value_out, self.head_out), self._arrays, strict=True):
            over = self.time_step > len(array)
            port.send(np.zeros_like(array[0]) if over else array[self.time_step - 1])
        if self.time_step % STEPS_BETWEEN == 0:
            Path(PROGRESS).write_text(str(self.time_step), encoding="utf-8")
