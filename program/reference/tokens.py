"""What depends on the event's token alone, computed once for each token: backends look it up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..graph import Program
from ..nodes import Node
from .batch import Batch
from .interpreter import function_of


@dataclass(frozen=True)
class TokenTable:
    """What a node makes of each token.

    Attributes:
        values: of the node's edge, (vocab, channels) int64.
        saturations: components that were clipped, (vocab,) int64.
    """

    values: np.ndarray
    saturations: np.ndarray


def by_token(program: Program, limit: int) -> dict[str, TokenTable]:
    """Tables of the nodes that see the token alone, by name: they keep no state, and neither does what they read.

    Nodes that read a gap are not among them. Those that hold as many codes themselves, as embeddings do, always are; of
    the others, in the program's order, those whose values fit into ``limit`` entries together. Empty for dense input.
    """
    source = program.value_input
    if source.event_shape:
        return {}
    vocab = source.code_range[1] + 1
    chosen = _chosen(program, vocab, limit)
    if not chosen:
        return {}
    batch = Batch(program, np.ones(vocab, dtype=np.int64), trace=True)
    valid = np.ones((vocab, 1), dtype=bool)
    edges = {source.name: np.arange(vocab, dtype=np.int64)[:, None, None]}
    for node in chosen:
        edges[node.name] = function_of(node)(node, [edges[edge] for edge in node.inputs], valid, batch)
    return {node.name: TokenTable(edges[node.name][:, 0], batch.saturations[node.name]) for node in chosen}


def _chosen(program: Program, vocab: int, limit: int) -> list[Node]:
    known, chosen, room = {program.value_input.name}, list[Node](), limit
    for node in program:
        if node.keeps_state or not node.inputs or not known.issuperset(node.inputs):
            continue
        entries = vocab * node.channels
        if entries <= sum(tensor.codes.size for tensor in node.tensors()):
            entries = 0  # it holds as many itself
        if entries <= room:
            room -= entries
            known.add(node.name)
            chosen.append(node)
    return chosen
