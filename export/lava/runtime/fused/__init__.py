"""The process of a whole network: fewer processes to wait for, and nothing to see between the layers."""

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


class Fused(AbstractProcess):
    """All nodes of a program. ``value_out`` carries the logits after every step, ``state_out`` all modes' codes."""

    def __init__(self, *, wires: Wires) -> None:
        super().__init__(wires=wires)
        self.value_in = InPort(shape=(wires.channels_in,))
        self.gap_in = InPort(shape=(1,))
        self.pool_gap_in = InPort(shape=(1,))
        self.flag_in = InPort(shape=(1,))
        self.value_out = OutPort(shape=(wires.channels_out,))
        self.state_out = OutPort(shape=(max(wires.state_size, 1),))


@implements(proc=Fused, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class FusedModel(PyLoihiProcessModel):
    """Integer model of Fused."""

    value_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    pool_gap_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    flag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    value_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    state_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._wires: Wires = proc_params["wires"]
        self._block = Block(self._wires.nodes)

    @reported
    def run_spk(self) -> None:
        """Take one event and send the logits that follow it."""
        wires = self._wires
        arriving = {
            wires.value_in: self.value_in.recv(),
            wires.gap_in: self.gap_in.recv(),
            wires.pool_gap_in: self.pool_gap_in.recv(),
        }
        flag = int(self.flag_in.recv()[0])
        if flag & RESET:
            self._block.reset()
        edges = self._block.step({edge: value for edge, value in arriving.items() if edge} if flag & VALID else {})
        self.value_out.send(edges[wires.value_out])
        self.state_out.send(self._block.state_codes())
