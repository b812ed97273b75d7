"""The stage of ``pumice export target=netx``: a network of Loihi's own neurons as a .net file of lava-dl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..api.export import export_netx
from ..api.programs import load
from ..program import digest
from .folder import RunFolder

FILE = "netx/network.net"


def check(config: Mapping[str, Any]) -> None:
    """It has no settings."""


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write the file, read it back, and return its figures.

    Raises:
        PumiceError: weights that netx would not load as they are, or a folder that cannot be written to.
        ParityError: what is read back is not what the program holds.
    """
    program = load(folder.path / "program.npz")
    target = folder.path / FILE
    nodes = export_netx(program, target)
    table = Table("layer", "type", "neurons", "inputs", "iDecay", "vDecay", "vThMant", title="lava-dl network")
    for node in nodes:
        kind = "dense_rec" if node.is_recurrent else "dense"
        dynamics = (_range(node.each("du") + 1), _range(node.each("dv")), _range(node.each("vth")))
        cells = (node.neurons, node.weight.shape[1], *dynamics)
        table.add_row(node.name, kind, *map(str, cells))
    console = Console()
    console.print(table)
    console.print(f"written and read back: {target}", soft_wrap=True)
    bits = nodes[0].message_bits
    console.print(f"to load it: lava.lib.dl.netx.hdf5.Network({FILE!r}, input_message_bits={bits})", soft_wrap=True)
    figures = {"layers": len(nodes), "input_message_bits": bits, "bytes": target.stat().st_size}
    return {"program": digest(program), **figures}


def _range(codes: np.ndarray) -> str:
    least, most = int(codes.min()), int(codes.max())
    return str(least) if least == most else f"{least} to {most}"
