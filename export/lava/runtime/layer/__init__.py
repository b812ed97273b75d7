"""The process of one part, or of all: whatever lies between two residual streams, a layer of neurons, the read-out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..head import COLUMNS
from ..parts import Part
from ..ports import IntegerModel, IntegerProcess, model_of
from ..running import RunningPart


class Layer(IntegerProcess):
    """The nodes of ``parts``, one part or several in turn. One step is one event or one tick.

    ``total_head_in`` is for the read-out: the source's head, at the full rate. ``record_out`` carries what a Recorder
    keeps of each part: flag, value sent, states.
    """

    INPUTS = ("value_in", "head_in", "total_head_in")
    OUTPUTS = ("value_out", "head_out", "record_out")

    def __init__(self, *, parts: Sequence[Part]) -> None:
        channels = {
            "value_in": parts[0].channels_in,
            "value_out": parts[-1].channels_out,
            "record_out": sum(part.columns for part in parts),
        }
        heads = dict.fromkeys(("head_in", "total_head_in", "head_out"), COLUMNS)
        super().__init__(channels | heads, parts=parts, name=parts[0].name)


@model_of(Layer)
class LayerModel(IntegerModel):
    """Integer model of Layer."""

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Zero states."""
        self._parts = [RunningPart(part) for part in parameters["parts"]]

    def advance(self) -> None:
        """Take one event and send what it makes."""
        value, head, total = self.value_in.recv(), self.head_in.recv(), self.total_head_in.recv()
        rows = []
        for part in self._parts:
            value, head = part.step(value, head, total if part.part.reads_out else None)
            rows.append(part.row(value, head))
        self.value_out.send(value)
        self.head_out.send(head)
        self.record_out.send(np.concatenate(rows))
