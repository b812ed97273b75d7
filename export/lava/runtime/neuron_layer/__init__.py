"""The process of a layer of neurons or integrators whose products are made by Lava's own ``Dense``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..head import COLUMNS
from ..parts import Part
from ..ports import IntegerModel, IntegerProcess, model_of
from ..running import FedPart


class NeuronLayer(IntegerProcess):
    """Neurons, or integrators and the read-out behind them, from the sums of their synapses on.

    ``product_in`` comes from the Dense of W, ``recurrent_in`` from that of V, which ``value_out`` feeds; ``head_in``
    comes from the layer before. It runs a step behind that layer.
    """

    INPUTS = ("product_in", "recurrent_in", "head_in")
    OUTPUTS = ("value_out", "head_out", "record_out")

    def __init__(self, *, part: Part) -> None:
        neurons = part.nodes[0].channels
        channels = {
            "product_in": neurons,
            "recurrent_in": neurons,
            "head_in": COLUMNS,
            "value_out": part.channels_out,
            "head_out": COLUMNS,
            "record_out": part.columns,
        }
        super().__init__(channels, part=part, name=part.name)


@model_of(NeuronLayer)
class NeuronLayerModel(IntegerModel):
    """Integer model of NeuronLayer."""

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Zero states."""
        self._part = FedPart(parameters["part"])

    def advance(self) -> None:
        """Take the sums of one step and send the spikes that they make."""
        arriving = self.product_in.recv(), self.recurrent_in.recv(), self.head_in.recv()
        value, head = self._part.step_fed(*arriving)
        self.value_out.send(value)
        self.head_out.send(head)
        self.record_out.send(self._part.row(value, head))
