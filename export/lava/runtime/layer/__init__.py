"""The process of one layer: whatever lies between two residual streams."""

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


class Layer(AbstractProcess):
    """A block of nodes. One step is one event; its gaps travel with it, and a strided layer marks its output valid
    at the last event of each window alone. ``state_out`` carries the modes' codes after the event.
    """

    def __init__(self, *, wires: Wires) -> None:
        super().__init__(wires=wires)
        self.value_in = InPort(shape=(wires.channels_in,))
        self.gap_in = InPort(shape=(1,))
        self.pool_gap_in = InPort(shape=(1,))
        self.flag_in = InPort(shape=(1,))
        self.value_out = OutPort(shape=(wires.channels_out,))
        self.gap_out = OutPort(shape=(1,))
        self.pool_gap_out = OutPort(shape=(1,))
        self.flag_out = OutPort(shape=(1,))
        self.state_out = OutPort(shape=(max(wires.state_size, 1),))


@implements(proc=Layer, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class LayerModel(PyLoihiProcessModel):
    """Integer model of Layer."""

    value_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    pool_gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    flag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    value_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    gap_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    pool_gap_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    flag_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    state_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._wires: Wires = proc_params["wires"]
        self._block = Block(self._wires.nodes)

    @reported
    def run_spk(self) -> None:
        """Take one event and send what it makes."""
        wires = self._wires
        arriving = {
            wires.value_in: self.value_in.recv(),
            wires.gap_in: self.gap_in.recv(),
            wires.pool_gap_in: self.pool_gap_in.recv(),
        }
        flag = int(self.flag_in.recv()[0])
        if flag & RESET:
            self._block.reset()
        edges = self._block.step({edge: value for edge, value in arriving.items() if edge}) if flag & VALID else {}
        valid = wires.value_out in edges
        self.value_out.send(edges[wires.value_out] if valid else np.zeros(wires.channels_out, dtype=np.int64))
        for edge, port in ((wires.gap_out, self.gap_out), (wires.pool_gap_out, self.pool_gap_out)):
            port.send(edges[edge] if edge in edges else np.zeros(1, dtype=np.int64))
        self.flag_out.send(np.array([(flag & RESET) | (VALID if valid else 0)]))
        self.state_out.send(self._block.state_codes())
