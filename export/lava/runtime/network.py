"""The network of a program: source, one process a layer, read-out, recorders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from ....quantize.program import Program
from .layer import Layer
from .readout import ReadoutProcess
from .recorder import Recorder
from .source import Source
from .wiring import wire


def run(program: Program, inputs: dict[str, np.ndarray], outputs: Path) -> None:
    """Run all steps and write ``<n>-value.npy``, ``<n>-flag.npy`` and ``<n>-state.npy`` of process n to ``outputs``.

    ``inputs`` holds the arrays of ``Source``. Processes of our own delay nothing, so row k of every file is event k;
    behind a process that delays by a step (Lava's Dense) the flags delay with the values, and nothing else changes.
    """
    steps = len(inputs["flags"])
    source = Source(**inputs)
    wires = wire(program)
    last = source
    for position, part in enumerate(wires):
        if part.name == "readout":
            process = ReadoutProcess(wires=part)
            source.pool_gap_out.connect(process.total_gap_in)
            source.flag_out.connect(process.total_flag_in)
        else:
            process = Layer(wires=part)
            last.gap_out.connect(process.gap_in)
            _record(process.flag_out, 1, steps, outputs / f"{position}-flag.npy")
            _record(process.state_out, max(part.state_size, 1), steps, outputs / f"{position}-state.npy")
        last.value_out.connect(process.value_in)
        last.pool_gap_out.connect(process.pool_gap_in)
        last.flag_out.connect(process.flag_in)
        _record(process.value_out, part.channels_out, steps, outputs / f"{position}-value.npy")
        last = process
    source.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    source.stop()


def _record(port: object, channels: int, steps: int, path: Path) -> None:
    recorder = Recorder(channels=channels, steps=steps, path=str(path))
    port.connect(recorder.value_in)
