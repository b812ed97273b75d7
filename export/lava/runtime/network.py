"""The network of a program: source, one process a layer, read-out, recorders; or one process for all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from ....quantize.program import Program, ProgramError
from .fused import Fused
from .layer import Layer
from .readout import ReadoutProcess
from .recorder import Recorder
from .source import Source
from .stock import run_stock
from .wiring import Wires, is_stock, wire, wire_fused


def run(program: Program, inputs: dict[str, np.ndarray], outputs: Path, fused: bool = False) -> None:
    """Run all steps; every process writes ``<name>.value.npy``, ``.flag.npy`` and ``.state.npy`` to ``outputs``.

    ``inputs`` holds the arrays of ``Source``. Processes of our own delay nothing, so row k of every file is event k;
    behind a process that delays by a step (Lava's Dense) the flags delay with the values, and nothing else changes.
    A program of Loihi's neurons runs as Lava's own processes instead, see ``stock``.
    """
    if is_stock(program):
        if fused:
            raise ProgramError("a network of Lava's own processes cannot be fused; leave --fused out")
        run_stock(program, inputs, outputs)
        return
    source = Source(**inputs)
    steps = len(inputs["flags"])
    if fused:
        _connect_fused(source, wire_fused(program), steps, outputs)
    else:
        _connect_layers(source, wire(program), steps, outputs)
    source.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    source.stop()


def _connect_layers(source: Source, wires: list[Wires], steps: int, outputs: Path) -> None:
    last: AbstractProcess = source
    for part in wires:
        if part.name == "readout":
            process = ReadoutProcess(wires=part)
            source.pool_gap_out.connect(process.total_gap_in)
            source.flag_out.connect(process.total_flag_in)
            _record(part, steps, outputs, value=process.value_out)
        else:
            process = Layer(wires=part)
            last.gap_out.connect(process.gap_in)
            _record(part, steps, outputs, value=process.value_out, flag=process.flag_out, state=process.state_out)
        last.value_out.connect(process.value_in)
        last.pool_gap_out.connect(process.pool_gap_in)
        last.flag_out.connect(process.flag_in)
        last = process


def _connect_fused(source: Source, part: Wires, steps: int, outputs: Path) -> None:
    process = Fused(wires=part)
    source.value_out.connect(process.value_in)
    source.gap_out.connect(process.gap_in)
    source.pool_gap_out.connect(process.pool_gap_in)
    source.flag_out.connect(process.flag_in)
    _record(part, steps, outputs, value=process.value_out, state=process.state_out)


def _record(part: Wires, steps: int, outputs: Path, **ports: OutPort) -> None:
    channels = {"value": part.channels_out, "flag": int("flag" in ports), "state": part.state_size}
    recorder = Recorder(channels=channels, steps=steps, path=str(outputs / part.file_name))
    for name, port in ports.items():
        port.connect(getattr(recorder, f"{name}_in"))
