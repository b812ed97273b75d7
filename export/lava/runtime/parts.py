"""Parts: the nodes of one Lava process each, and which edges of the program the process takes and gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ....program import Program, ProgramError
from ....program.nodes import GAP, GAP_FORMAT, HIDDEN, QUERY, SPIKES, TOTAL, WEIGHT, LoihiLIF, Node, Readout
from .evaluator import STATEFUL
from .stateless import STATELESS

LAYERS, FUSED, STOCK = "layers", "fused", "stock"
_LAYER = re.compile(r"stages/\d+/layers/\d+|blocks/\d+|layers/\d+")
PARTS = (LAYERS, FUSED, STOCK)
"""What ``parts`` may be: a process a part; one for all of them; Lava's own processes wherever they are exact."""


@dataclass(frozen=True)
class Part:
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
        return any(node.reads_out for node in self.nodes)


def state_size(node: Node) -> int:
    """Codes that a node holds after each step and that are recorded; of leaky integrators their output."""
    return sum(state.size for state in node.states() if state.seen != HIDDEN)


def split(program: Program) -> list[Part]:
    """The parts of a program, in order: ``front``, every ``stages/i/layers/j``, ``blocks/i`` or ``layers/i``, or every
    layer of neurons; ``readout``, integrators included.

    The gap that state-space nodes decay over travels in the head, and so do weights of time pooling in another unit;
    both leave a strided layer summed.

    Raises:
        ProgramError: a node that Lava has no model for, or not beside Loihi's own neurons; a layer with more than one
            output, or a program with more than two gap inputs.
    """
    for node in program:
        if not node.is_input and type(node) not in (*STATELESS, *STATEFUL, LoihiLIF):
            raise ProgramError(f"node {node.name}: Lava has no model for {type(node).__name__}")
        if program.chip and not (node.is_input or type(node) in (LoihiLIF, Readout)):
            kind = type(node).__name__
            raise ProgramError(
                f"node {node.name}: a {kind} cannot lie beside LoihiLIF nodes, which are Lava's own LIF; "
                "run it in the simulator"
            )
    value = program.value_input.name
    gap, pool_gap = _gap_inputs(program)
    # The time of complete windows alone arrives with the weights.
    totals = (node.edge(TOTAL) for node in program.read_outs if node.edge(TOTAL) != node.edge(WEIGHT))
    total_gap = next(totals, "")
    parts: list[Part] = []
    for name, nodes in _groups(program):
        value_out = _output(program, name, nodes)
        pooled = {node.inputs[0]: node.name for node in nodes if node.output == GAP_FORMAT}
        parts.append(
            Part(
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
        value, gap, pool_gap = value_out, parts[-1].gap_out, parts[-1].pool_gap_out
    return parts


def _gap_inputs(program: Program) -> tuple[str, str]:
    """The gap input that decays read, and the other one, if any."""
    names = [node.name for node in program.gap_inputs]
    if len(names) > 2:
        raise ProgramError(f"Lava processes carry two kinds of gaps, the program has {len(names)}: {', '.join(names)}")
    first = next((node.edge(GAP) for node in program if node.edge(GAP)), "")
    return first, next((name for name in names if name != first), "")


def _groups(program: Program) -> list[tuple[str, tuple[Node, ...]]]:
    groups: dict[str, tuple[Node, ...]] = {}
    for node in program:
        if node.is_input:
            continue
        name = "front"
        if program.rates[node.name] == QUERY or (node.is_series and node.output != SPIKES):
            name = "readout"  # potentials lie with what reads them
        elif node.name == program.series:
            name = node.name  # what is recorded is what processes send
        elif node.synapses():
            name = node.name
        elif found := _LAYER.match(node.name):
            name = found[0]
        groups[name] = (*groups.get(name, ()), node)
    return list(groups.items())


def _output(program: Program, name: str, nodes: Sequence[Node]) -> str:
    """The one edge that leaves a part, gaps aside."""
    own = {node.name for node in nodes}
    used = {edge for node in program if node.name not in own for edge in node.inputs} | {program.logits}
    leaving = [node.name for node in nodes if node.name in used and node.output != GAP_FORMAT]
    if len(leaving) != 1:
        raise ProgramError(f"{name}: {len(leaving)} edges leave this layer, a Lava process sends one")
    return leaving[0]
