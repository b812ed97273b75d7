"""The stage of ``pumice export target=netx``: a network of Loihi's own neurons as a .net file of lava-dl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..api.export import export_netx
from ..api.programs import load
from ..export.netx.usage import layer_table, usage
from ..program import digest
from ..terminal import Printer
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
    console = Printer()
    console.print(layer_table(nodes))
    console.print(f"written and read back: {target}")
    for sentence in usage(program, nodes, target):
        console.print(sentence)
    figures = {"layers": len(nodes), "input_message_bits": nodes[0].message_bits, "bytes": target.stat().st_size}
    return {"program": digest(program), **figures}
