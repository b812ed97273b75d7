"""What the user of a .net file has to know, as sentences and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...program import Program
from ...program.nodes import SPIKES, LoihiLIF
from ...terminal import Table

NAMES_SHOWN = 10


def layer_table(nodes: Sequence[LoihiLIF]) -> Table:
    """The layers as lava-dl names their values."""
    table = Table("layer", "type", "neurons", "inputs", "iDecay", "vDecay", "vThMant", title="lava-dl network")
    for node in nodes:
        kind = "dense_rec" if node.is_recurrent else "dense"
        dynamics = (_range(node.each("du") + 1), _range(node.each("dv")), _range(node.each("vth")))
        table.add_row(node.name, kind, str(node.neurons), str(node.weight.shape[1]), *dynamics)
    return table


def usage(program: Program, nodes: Sequence[LoihiLIF], path: str | Path) -> list[str]:
    """How to load the file in netx, what to feed it, and how to read its spikes. The file's attributes say the same."""
    source, names = nodes[0].format, program.class_names
    what = "spikes, 0 or 1" if source == SPIKES else f"whole numbers from {source.min} to {source.max}"
    step = "unknown to the program" if program.step_us is None else f"{program.step_us:,} us"
    shown = ", ".join(names[:NAMES_SHOWN]) + (f", ... ({len(names)})" if len(names) > NAMES_SHOWN else "")
    readout = "the neuron that spikes most often decides, the lowest of equals"
    if (mode := getattr(program[program.logits], "mode", "mean")) != "mean":
        readout = f"the program reads them by mode {mode} (attribute readout)"
    return [
        f"to load it: lava.lib.dl.netx.hdf5.Network({Path(path).name!r}, input_message_bits={nodes[0].message_bits})",
        f"inputs: {what} in each step; clip them to that, as the program does: netx does not, and spikes differ then",
        f"a step: {step}",
        f"classes, in the order of the last layer's neurons: {shown}; {readout}",
        "layer l, from 0, shows step k at k + l + 1; between samples all states have to be set to zero",
    ]


def _range(codes: np.ndarray) -> str:
    least, most = int(codes.min()), int(codes.max())
    return str(least) if least == most else f"{least} to {most}"
