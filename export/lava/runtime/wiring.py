"""Which edges of the program each process takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....quantize.program import Program, ProgramError
from ....quantize.program.nodes import GAP_FORMAT, INPUT_NODES, QUERY, DiagonalSSM, LoihiLIF, Node, Readout


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
        """Codes of all states."""
        return sum(node.state_fracs.size for node in self.nodes)


def wire(program: Program) -> list[Wires]:
    """One entry a process, in order: ``front``, every ``stages/i/layers/j`` or LoihiLIF node, ``readout``.

    The gap that state-space nodes decay over travels on the gap port, weights of time pooling in another unit on the
    pool-gap port; both leave a strided layer summed.

    Raises:
        ProgramError: a layer has more than one output, or the program more than two gap inputs.
    """
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


def wire_fused(program: Program) -> Wires:
    """The whole program as one process, ``network``, that gives running logits.

    Raises:
        ProgramError: as ``wire``.
    """
    parts = wire(program)
    return replace(
        parts[0],
        name="network",
        nodes=tuple(node for part in parts for node in part.nodes),
        value_out=parts[-1].value_out,
        channels_out=parts[-1].channels_out,
        gap_out="",
        pool_gap_out="",
    )


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
        if isinstance(node, INPUT_NODES):
            continue
        parts = node.name.split("/")
        name = "/".join(parts[:4]) if parts[0] == "stages" else "front"
        name = node.name if isinstance(node, LoihiLIF) else name
        name = "readout" if program.rates[node.name] == QUERY else name
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
