"""The process of the read-out and what lies behind it: logits after every event."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from ..block import Block
from ..failures import reported
from ..flags import RESET, VALID
from ..wiring import Wires


class ReadoutProcess(AbstractProcess):
    """Takes the last layer's events and, for read-outs weighted by time, the gaps of all events at full rate."""

    def __init__(self, *, wires: Wires) -> None:
        super().__init__(wires=wires)
        self.value_in = InPort(shape=(wires.channels_in,))
        self.pool_gap_in = InPort(shape=(1,))
        self.flag_in = InPort(shape=(1,))
        self.total_gap_in = InPort(shape=(1,))
        self.total_flag_in = InPort(shape=(1,))
        self.value_out = OutPort(shape=(wires.channels_out,))


@implements(proc=ReadoutProcess, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutModel(PyLoihiProcessModel):
    """Integer model of ReadoutProcess."""

    value_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    pool_gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    flag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    total_gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    total_flag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    value_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._wires: Wires = proc_params["wires"]
        self._block = Block(self._wires.nodes)

    @reported
    def run_spk(self) -> None:
        """Take what has arrived; the running logits leave at every step."""
        wires = self._wires
        value, pool_gap, total_gap = self.value_in.recv(), self.pool_gap_in.recv(), self.total_gap_in.recv()
        flag, total_flag = int(self.flag_in.recv()[0]), int(self.total_flag_in.recv()[0])
        if flag & RESET:
            self._block.reset()
        edges = {wires.total_gap_in: total_gap} if total_flag & VALID else {}
        if flag & VALID:
            edges |= {wires.value_in: value, wires.pool_gap_in: pool_gap}
        edges = self._block.step({edge: array for edge, array in edges.items() if edge})
        self.value_out.send(edges[wires.value_out])
