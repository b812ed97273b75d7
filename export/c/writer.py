"""Goes through a program node by node and writes the function of each."""

from __future__ import annotations

from ...errors import BackendUnavailable
from ...program import Program
from ...program.nodes import QUERY, Node
from . import loihi, neurons, ssm, stateless, windows
from .block import Block, Emitter
from .kept import Kept

EMITTERS: dict[type[Node], Emitter] = {
    **stateless.EMITTERS,
    **ssm.EMITTERS,
    **windows.EMITTERS,
    **neurons.EMITTERS,
    **loihi.EMITTERS,
}


def write_blocks(program: Program, kept: Kept) -> dict[str, Block]:
    """The functions of all nodes, by name; inputs have none.

    Raises:
        BackendUnavailable: a node that has no form in C.
    """
    blocks = {}
    for node in program:
        if node.is_input:
            kept.take_input(node)
    for behind in (False, True):  # what is computed at each event, then what is read when asked for
        for node in program:
            if not node.is_input and (program.rates[node.name] == QUERY) == behind:
                if type(node) not in EMITTERS:
                    kind = type(node).__name__
                    raise BackendUnavailable(
                        f"node {node.name}: C has no form of nodes of type {kind}; run it elsewhere"
                    )
                blocks[node.name] = Block(kept, node)
                EMITTERS[type(node)](blocks[node.name], node)
        kept.work.forget()
    return {node.name: blocks[node.name] for node in program if node.name in blocks}
