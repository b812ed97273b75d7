"""The process that writes what a port carried to an .npy file."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from ..failures import reported


class Recorder(AbstractProcess):
    """Writes ``path``, (steps, channels) int64, after the last step: whole integers, past Lava's own variables."""

    def __init__(self, *, channels: int, steps: int, path: str) -> None:
        super().__init__(channels=channels, steps=steps, path=path)
        self.value_in = InPort(shape=(channels,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderModel(PyLoihiProcessModel):
    """Integer model of Recorder."""

    value_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._path = proc_params["path"]
        self._rows = np.zeros((proc_params["steps"], proc_params["channels"]), dtype=np.int64)

    @reported
    def run_spk(self) -> None:
        """Keep one row; write all after the last."""
        self._rows[self.time_step - 1] = self.value_in.recv()
        if self.time_step == len(self._rows):
            np.save(self._path, self._rows, allow_pickle=False)
