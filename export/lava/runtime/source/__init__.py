"""The process that feeds events: value, gaps and flags of one event a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from ..failures import reported
from ..progress import PROGRESS, STEPS_BETWEEN


class Source(AbstractProcess):
    """Sends row k of each array at step k.

    Shapes: ``values`` (steps, channels), ``gaps`` and ``pool_gaps`` (steps, 1), ``flags`` (steps, 1); int64.
    """

    def __init__(self, *, values: np.ndarray, gaps: np.ndarray, pool_gaps: np.ndarray, flags: np.ndarray) -> None:
        super().__init__(values=values, gaps=gaps, pool_gaps=pool_gaps, flags=flags)
        self.value_out = OutPort(shape=values.shape[1:])
        self.gap_out = OutPort(shape=(1,))
        self.pool_gap_out = OutPort(shape=(1,))
        self.flag_out = OutPort(shape=(1,))


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceModel(PyLoihiProcessModel):
    """Integer model of Source."""

    value_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    gap_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    pool_gap_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)
    flag_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int64)

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._arrays = [proc_params[name] for name in ("values", "gaps", "pool_gaps", "flags")]

    @reported
    def run_spk(self) -> None:
        """Send one event; Lava counts steps from 1."""
        ports = (self.value_out, self.gap_out, self.pool_gap_out, self.flag_out)
        for port, array in zip(ports, self._arrays, strict=True):
            port.send(array[self.time_step - 1])
        if self.time_step % STEPS_BETWEEN == 0:
            Path(PROGRESS).write_text(str(self.time_step), encoding="utf-8")
