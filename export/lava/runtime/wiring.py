"""Which edges of the program each process takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....program import Program, ProgramError
from ....program.nodes import (
    GAP_FORMAT,
    QUERY,
    DiagonalSSM,
    LeakyIntegrator,
    LoihiLIF,
    Neurons,
    Node,
    Readout,
)
from .block import STATEFUL, state_size
from .stateless import STATELESS

LAYERS, FUSED, STOCK = "layers", "fused", "stock"
PARTS = (LAYERS, FUSED, STOCK)
"""Ways to make a network: a process a layer; one for all; Lava's own processes wherever they are exact."""


@dataclass(frozen=True)
class Wires:
    """The nodes of one process and the names of the edges at its ports; an empty name is a port not used."""

    name: str
    nodes: tuple[Node, ...]
    value_in: str
    channels_in: int
    value_out: str
    channels_out: int
    gap_in: str = ""
    gap_out: str = ""
    pool_gap_in: str = ""
    pool_gap_out: str = ""
    total_gap_in: str = ""

    @property
    def file_name(self) -> str:
        """The name without slashes, as files of its recordings begin."""
        return self.name.replace("/", ".")

    @property
    def state_size(self) -> int:
        """Codes of all nodes that hold some."""
        return sum(state_size(node) for node in self.nodes)

    @property
    def columns(self) -> int:
        """What is recorded each step: the flag, the value sent, the states."""
        return 1 + self.channels_out + self.state_size

    @property
    def reads_out(self) -> bool:
        """Whether its value is a running one, defined at every step."""
        return any(isinstance(node, Readout) for node in self.nodes)


def wire(program: Program) -> list[Wires]:
    """One entry a process, in order: ``front``, every ``stages/i/layers/j``, or every layer of neurons; ``readout``,
    integrators included.

    The gap that state-space nodes decay over travels in the head, and so do weights of time pooling in another unit;
    both leave a strided layer summed.

    Raises:
        ProgramError: a node that Lava has no model for, or not beside Loihi's own neurons; a layer with more than one
            output, or a program with more than two gap inputs.
    """
    for node in program:
        if not node.is_input and type(node) not in (*STATELESS, *STATEFUL, LoihiLIF):
            raise ProgramError(f"node {node.name}: Lava has no model for {type(node).__name__}")
        if is_stock(program) and not (node.is_input or type(node) in (LoihiLIF, Readout)):
            kind = type(node).__name__
            raise ProgramError(f"node {node.name}: a {kind} cannot lie beside LoihiLIF nodes, which are Lava's own LIF")
    value = program.value_input.name
    gap, pool_gap = _gap_inputs(program)
    weights = {node.inputs[2] for node in program if isinstance(node, Readout) and node.mode == "time"}
    total_gap = next(iter(weights), "")
    wires = []
    for name, nodes in _blocks(program):
        value_out = _output(program, name, nodes)
        pooled = {node.inputs[0]: node.name for node in nodes if node.output == GAP_FORMAT}
        wires.append(
            Wires(
                name=name,
                nodes=nodes,
                value_in=value,
                channels_in=program[value].channels,
                value_out=value_out,
                channels_out=program[value_out].channels,
                gap_in=gap,
                gap_out=pooled.get(gap, gap),
                pool_gap_in=pool_gap,
                pool_gap_out=pooled.get(pool_gap, pool_gap),
                total_gap_in=total_gap,
            )
        )
        value, gap, pool_gap = value_out, wires[-1].gap_out, wires[-1].pool_gap_out
    return wires


def is_stock(program: Program) -> bool:
    """Whether the program runs as Lava's own processes, because its neurons are Loihi's own."""
    return any(isinstance(node, LoihiLIF) for node in program)


def check_parts(program: Program, parts: str) -> None:
    """Whether the program can be made of these parts, one of ``PARTS``.

    Raises:
        ProgramError: it cannot; names the node or the part.
    """
    if is_stock(program):
        if parts == FUSED:
            raise ProgramError(f"a network of Lava's own processes cannot be fused; use parts={LAYERS}")
    elif parts == STOCK:
        for wires in wire(program):
            synapses(wires)


@dataclass(frozen=True)
class Synapses:
    """What one Dense of Lava multiplies by: ``codes`` (rows, columns) int64 of 8 bits, times 2**``exponent``."""

    name: str
    codes: np.ndarray
    exponent: int
    recurrent: bool


def synapses(wires: Wires) -> list[Synapses]:
    """The matrices in front of neurons or integrators, for Lava's Dense: W, and V of recurrent neurons.

    Dense keeps weights of mixed sign in 8 bits above a zero bit. So it gets twice our codes, and the exponent less one:
    what it sends is the exact product. Codes beyond 8 bits are two Dense, of digits to the base 128, whose sums add.

    Raises:
        ProgramError: other nodes, or codes and sums that do not fit.
    """
    node = wires.nodes[0]
    if not isinstance(node, (Neurons, LeakyIntegrator)):
        raise ProgramError(f"{wires.name}: parts={STOCK} needs a clocked network of neurons; use {LAYERS} or {FUSED}")
    matrices = [("W", node.weight if isinstance(node, LeakyIntegrator) else node.input, node.format.magnitude)]
    if isinstance(node, Neurons) and node.is_recurrent:
        matrices.append(("V", node.recurrent, 1))
    found = []
    for what, matrix, largest in matrices:
        digits = _digits(matrix.astype(np.int64))
        sums = [largest * int(np.abs(codes).sum(axis=1).max()) << 7 * place for place, codes in enumerate(digits)]
        if len(digits) > 2 or 2 * max(sums) >= 1 << 31:
            raise ProgramError(
                f"node {node.name}: {what} does not fit Lava's Dense, 14-bit codes and 30-bit sums; use parts={LAYERS}"
            )
        for place, codes in enumerate(digits):
            name = f"{wires.name}/{what}{place or ''}"
            found.append(Synapses(name, codes, 7 * place, recurrent=what == "V"))
    return found


def _digits(codes: np.ndarray) -> list[np.ndarray]:
    """Digits to the base 128, the lowest first, each of 8 bits."""
    digits = []
    while np.abs(codes).max() > 127:
        low = (codes + 64) % 128 - 64
        digits.append(low)
        codes = (codes - low) >> 7
    return [*digits, codes]


def _gap_inputs(program: Program) -> tuple[str, str]:
    """The gap input that decays read, and the other one, if any."""
    names = [node.name for node in program.gap_inputs]
    if len(names) > 2:
        raise ProgramError(f"Lava processes carry two kinds of gaps, the program has {len(names)}: {', '.join(names)}")
    edges = [node.inputs[1] for node in program if isinstance(node, DiagonalSSM)]
    first = edges[0] if edges else ""
    return first, next((name for name in names if name != first), "")


def _blocks(program: Program) -> list[tuple[str, tuple[Node, ...]]]:
    blocks: dict[str, tuple[Node, ...]] = {}
    for node in program:
        if node.is_input:
            continue
        name = "front"
        if program.rates[node.name] == QUERY or isinstance(node, LeakyIntegrator):
            name = "readout"
        elif isinstance(node, (LoihiLIF, Neurons)):
            name = node.name
        elif node.name.startswith("stages/"):
            name = "/".join(node.name.split("/")[:4])
        blocks[name] = (*blocks.get(name, ()), node)
    return list(blocks.items())


def _output(program: Program, name: str, nodes: Sequence[Node]) -> str:
    """The one edge that leaves a block, gaps aside."""
    own = {node.name for node in nodes}
    used = {edge for node in program if node.name not in own for edge in node.inputs} | {program.logits}
    leaving = [node.name for node in nodes if node.name in used and node.output != GAP_FORMAT]
    if len(leaving) != 1:
        raise ProgramError(f"{name}: {len(leaving)} edges leave this layer, a Lava process sends one")
    return leaving[0]
