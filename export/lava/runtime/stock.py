"""A program of Loihi's own neurons as a network of Lava's own processes: RingBuffer, Dense, LIF and Monitor alone.

These are what Intel's runtime maps to a Loihi 2 chip. Every Dense delays by a step, so layer l sees step k of a sample
at step k + l + 1 of the run, all counted from 0; until then only its bias acts. Samples therefore run one after the
other: all layers start from zero, layer l is set to zero again after its first l + 1 steps, and as many empty steps as
there are layers follow a sample's last. What is written is set back in time: row k is step k of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from lava.utils.weightutils import SignMode

from ....program import Program
from ....program.nodes import LoihiLIF
from ....program.nodes.loihi import ALIGNMENT, LIMITS
from .head import COLUMNS, FLAG, RESET, VALID
from .parts import split
from .progress import PROGRESS
from .recordings import write
from .running import RunningPart
from .supervision import stop


@dataclass
class StockLayer:
    """The processes of one LoihiLIF node."""

    dense: Dense
    lif: LIF
    recurrent: Dense | None
    monitors: dict[str, Monitor]

    def reset(self, incoming: bool) -> None:
        """Zero u, v and the spikes on their way back; those on their way in as well, where ``incoming``."""
        state: list[Var] = [self.lif.u, self.lif.v]
        state += [self.recurrent.a_buff] if self.recurrent is not None else []
        state += [self.dense.a_buff] if incoming else []
        for variable in state:
            variable.set(np.zeros(variable.shape, dtype=np.int32))

    def recorded(self, what: str) -> np.ndarray:
        """``s_out``, ``u`` or ``v`` at every step of the run so far, (steps, H) int64."""
        data = self.monitors[what].get_data()
        return next(iter(next(iter(data.values())).values())).astype(np.int64)


def run_stock(program: Program, inputs: dict[str, np.ndarray], outputs: Path) -> None:
    """Run all samples; write ``.value.npy``, ``.flag.npy`` and ``.state.npy`` of every layer as ``network.run`` does.

    ``inputs`` holds ``values`` and ``flags`` of ``Source``. The read-out is the host's: it counts the spikes.
    """
    nodes = list(program.of_type(LoihiLIF))
    flags = inputs["flags"][:, 0]
    starts = np.flatnonzero(flags & RESET)
    pieces = [piece[flags[piece] & VALID > 0] for piece in np.split(np.arange(len(flags)), starts[1:])]
    idle = np.zeros((len(nodes), inputs["values"].shape[1]), dtype=np.int64)
    rows = np.concatenate([part for piece in pieces for part in (inputs["values"][piece], idle)])

    source = RingBuffer(data=rows.T)
    layers = _connect(source, nodes, len(rows))
    config = Loihi2SimCfg(select_tag="fixed_pt")
    for number, piece in enumerate(pieces):
        for layer in layers if number else []:
            layer.reset(incoming=True)
        for layer in layers:
            source.run(condition=RunSteps(num_steps=1), run_cfg=config)
            layer.reset(incoming=False)
        if len(piece):
            source.run(condition=RunSteps(num_steps=len(piece)), run_cfg=config)
            Path(PROGRESS).write_text(str(piece[-1] + 1), encoding="utf-8")
    recorded = [{what: layer.recorded(what) for what in ("s_out", "u", "v")} for layer in layers]
    stop(source)
    _write(program, nodes, recorded, pieces, inputs["flags"], outputs)


def _connect(source: AbstractProcess, nodes: list[LoihiLIF], steps: int) -> list[StockLayer]:
    layers = []
    last = source.s_out
    for node in nodes:
        bits = {"weight_exp": node.weight_exponent, "num_weight_bits": node.weight_bits, "sign_mode": SignMode.MIXED}
        graded = node.message_bits
        dense = Dense(weights=node.weight.astype(np.int32), num_message_bits=graded, name=f"{node.name}/W", **bits)
        lif = LIF(
            name=node.name,
            shape=(node.neurons,),
            bias_mant=node.bias.astype(np.int32),
            bias_exp=ALIGNMENT,
            **{what: _shared_or_own(getattr(node, what)) for what in LIMITS},
        )
        last.connect(dense.s_in)
        dense.a_out.connect(lif.a_in)
        recurrent = None
        if node.is_recurrent:
            recurrent = Dense(weights=node.recurrent.astype(np.int32), name=f"{node.name}/V", **bits)
            lif.s_out.connect(recurrent.s_in)
            recurrent.a_out.connect(lif.a_in)
        monitors = {what: Monitor() for what in ("s_out", "u", "v")}
        for what, monitor in monitors.items():
            monitor.probe(getattr(lif, what), steps)
        layers.append(StockLayer(dense, lif, recurrent, monitors))
        last = lif.s_out
    return layers


def _shared_or_own(value: int | np.ndarray) -> int | np.ndarray:
    """LIF names one du, dv and vth for a layer, and computes as well with one a neuron."""
    return value.astype(np.int32) if isinstance(value, np.ndarray) else value


def _write(
    program: Program,
    nodes: list[LoihiLIF],
    recorded: list[dict[str, np.ndarray]],
    pieces: list[np.ndarray],
    flags: np.ndarray,
    outputs: Path,
) -> None:
    parts = split(program)
    for index, (node, arrays) in enumerate(zip(nodes, recorded, strict=True)):
        spikes = np.zeros((len(flags), node.neurons), dtype=np.int64)
        states = np.zeros((len(flags), 2 * node.neurons), dtype=np.int64)
        begin = 0
        for piece in pieces:
            late = slice(begin + index + 1, begin + index + 1 + len(piece))
            spikes[piece] = arrays["s_out"][late]
            states[piece] = np.concatenate([arrays["u"][late], arrays["v"][late]], axis=1)
            begin += len(piece) + len(nodes)
        write(outputs, [parts[index]], np.concatenate([flags, spikes, states], axis=1))
    readout, head = RunningPart(parts[-1]), np.zeros(COLUMNS, dtype=np.int64)
    rows = []
    for flag, row in zip(flags[:, 0], spikes, strict=True):
        head[FLAG] = flag
        rows.append(readout.row(*readout.step(row, head, head)))
    write(outputs, [parts[-1]], np.stack(rows))
