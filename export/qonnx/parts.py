"""The parts of a program that keep no state: what lies between the nodes that do, and can be written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...program import Program
from ...program.nodes import Node

ALONE = "stands alone between nodes that are left out, and holds no weights"


@dataclass(frozen=True, eq=False)
class Part:
    """Connected nodes without a state, a function of the edges that they read.

    Attributes:
        nodes: in the program's order.
        inputs: nodes outside it whose edges it reads.
        outputs: those of its nodes whose edges are read outside it, or are results of the program.
        rate: events of the program's input per event of its edges; 0 behind a read-out.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]
    rate: int


def split(program: Program, why_not: Callable[[Node], str]) -> tuple[list[Part], dict[str, str]]:
    """The parts of a program, each as large as it can be, and why each other node is in none.

    A part holds the nodes that are connected and have as many nodes outside before them, on the longest way from the
    input. So no way leads out of it and back, and its outputs never wait for another part that waits for them.

    Args:
        program: any.
        why_not: why a node cannot be written; empty where it can. Inputs are asked for nothing, and left out.
    """
    left_out = {node.name: why for node in program if not node.is_input and (why := why_not(node))}
    depth: dict[str, int] = {}
    part_of: dict[str, list[Node]] = {}
    for node in program:
        before = [edge for edge in node.inputs if edge in part_of]
        others = [depth[edge] + 1 for edge in node.inputs if edge not in part_of]
        depth[node.name] = max([*(depth[edge] for edge in before), *others], default=0)
        if node.is_input or node.name in left_out:
            continue
        own = [node]
        for edge in before:
            if depth[edge] == depth[node.name] and part_of[edge] is not own:
                own = [*part_of[edge], *own]
                part_of.update((member.name, own) for member in own)
        part_of[node.name] = own
    found: dict[int, list[Node]] = {id(own): own for own in part_of.values()}
    parts: list[Part] = []
    for own in found.values():
        if len(own) == 1 and not own[0].tensors():
            left_out[own[0].name] = ALONE
        else:
            parts.append(_part(program, {node.name: node for node in own}))
    place = {node.name: index for index, node in enumerate(program)}
    parts.sort(key=lambda part: place[part.nodes[0].name])
    return parts, {name: left_out[name] for name in sorted(left_out, key=place.__getitem__)}


def _part(program: Program, own: Mapping[str, Node]) -> Part:
    read = {edge: None for node in own.values() for edge in node.inputs if edge not in own}
    needed = {edge for node in program if node.name not in own for edge in node.inputs}
    needed |= {program.logits, program.series or program.logits}
    nodes = tuple(node for node in program if node.name in own)
    return Part(
        nodes,
        tuple(program[edge] for edge in read),
        tuple(node for node in nodes if node.name in needed),
        program.rates[nodes[0].name],
    )
