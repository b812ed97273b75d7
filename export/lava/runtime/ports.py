"""Processes by the names of their ports, and models for them: all ports carry dense int64 vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from .failures import reported


class IntegerProcess(AbstractProcess):
    """A process with the ports that its class names; ``channels`` says how wide each is (at least 1).

    What else is given becomes ``proc_params`` of the model.
    """

    INPUTS: ClassVar[tuple[str, ...]] = ()
    OUTPUTS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, channels: Mapping[str, int], **parameters: Any) -> None:
        super().__init__(**parameters)
        for names, kind in ((self.INPUTS, InPort), (self.OUTPUTS, OutPort)):
            for port in names:
                setattr(self, port, kind(shape=(max(channels[port], 1),)))


class IntegerModel(PyLoihiProcessModel):
    """A model that is set up by ``set_up`` and does ``advance`` every step; exceptions in either end the run."""

    @reported
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.set_up(proc_params)

    @reported
    def run_spk(self) -> None:
        """Called by Lava once a step."""
        self.advance()

    def set_up(self, parameters: Mapping[str, Any]) -> None:
        """Take the parameters of the process."""
        raise NotImplementedError

    def advance(self) -> None:
        """Receive from every port that has a sender, and send."""
        raise NotImplementedError


def model_of(process: type[IntegerProcess]) -> Callable[[type[IntegerModel]], type[IntegerModel]]:
    """Class decorator: the fixed-point model of ``process`` on a CPU, with its ports."""

    def decorate(cls: type[IntegerModel]) -> type[IntegerModel]:
        for names, kind in ((process.INPUTS, PyInPort.VEC_DENSE), (process.OUTPUTS, PyOutPort.VEC_DENSE)):
            for port in names:
                setattr(cls, port, LavaPyType(kind, np.int64))
        return implements(proc=process, protocol=LoihiProtocol)(requires(CPU)(tag("fixed_pt")(cls)))

    return decorate
