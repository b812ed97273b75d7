"""The process that writes what another sent to .npy files."""

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
    """Keeps what arrives at its ports, one row a step, and writes ``<path>.value.npy``, ``.flag.npy`` and
    ``.state.npy``, (steps, channels) int64, after the last step: whole integers, past Lava's own variables.

    A port of 0 channels writes no file. One recorder takes all ports of a process: each process more costs every step.
    """

    def __init__(self, *, channels: dict[str, int], steps: int, path: str) -> None:
        super().__init__(channels=channels, steps=steps, path=path)
        self.value_in = InPort(shape=(max(channels["value"], 1),))
        self.flag_in = InPort(shape=(max(channels["flag"], 1),))
        self.state_in = InPort(shape=(max(channels["state"], 1),))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderModel(PyLoihiProcessModel):
    """Integer model of Recorder."""

    value_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    flag_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)
    state_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int64)

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._path, self._steps = proc_params["path"], proc_params["steps"]
        kept = {name: channels for name, channels in proc_params["channels"].items() if channels}
        self._rows = {name: np.zeros((self._steps, channels), dtype=np.int64) for name, channels in kept.items()}

    @reported
    def run_spk(self) -> None:
        """Keep one row; write all after the last."""
        arrived = {"value": self.value_in.recv(), "flag": self.flag_in.recv(), "state": self.state_in.recv()}
        for name, rows in self._rows.items():
            rows[self.time_step - 1] = arrived[name]
        if self.time_step == self._steps:
            for name, rows in self._rows.items():
                np.save(f"{self._path}.{name}.npy", rows, allow_pickle=False)
