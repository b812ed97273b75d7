"""From counted operations to the quantities that a profile prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from ..counts.records import NodeCounts, Operations

TERNARY = 2
"""Weights of this width are -1, 0 or 1: their products need no multiplier, nor do those with spikes, of 1 bit."""

NEURON_UPDATES: Mapping[str, Callable[[NodeCounts], int]] = {
    "Linear": lambda node: node.outputs,
    **dict.fromkeys(("DiagonalSSM", "ChannelSSM"), lambda node: node.state_updates * (1 if node.real else 2)),
    **dict.fromkeys(
        ("LIF", "AdaptiveLIF", "CubaLIF", "DrivenLIF", "LoihiLIF", "LeakyIntegrator"), lambda node: node.state_updates
    ),
}
"""What a spiking chip would update, by node type; the operations of other nodes have no counterpart on it."""

GRADED = ("Linear", "DiagonalSSM", "ChannelSSM")
"""Nodes whose codes would travel as graded spikes, where they are not zero."""


def unit_width(bits: int) -> int:
    """The narrowest of 8, 16, 32 and 64 bits that holds an operand."""
    return next(width for width in (8, 16, 32, 64) if bits <= width)


def arithmetic(node: NodeCounts, floating: bool, skip_zeros: bool) -> Counter[str]:
    """Additions, multiplications, divisions, roots and functions, by width.

    A product of operands of different widths is priced at the wider one; a multiply-accumulate is a product and an
    addition into its register; rounding is an addition (a constant shift is wiring), and so is a comparison; a look-up
    and a reset cost their memory alone.
    """
    quantities: Counter[str] = Counter()
    for item in node.operations:
        suffix = "fp32" if floating else None
        count = item.effective if skip_zeros else item.dense
        if item.kind == "mac":
            quantities[f"add-{suffix or _integer(item.result)}"] += count
            quantities[f"multiply-{suffix or _integer(*item.widths)}"] += _multiplied(item, floating, skip_zeros)
        elif item.kind == "multiply":
            quantities[f"multiply-{suffix or _integer(*item.widths)}"] += count
        elif item.kind == "add":
            quantities[f"add-{suffix or _integer(item.result)}"] += count
        elif item.kind in ("round", "compare"):
            quantities[f"add-{suffix or _integer(*item.widths)}"] += count
        elif item.kind in ("divide", "root", "function"):
            quantities[f"{item.kind}-{suffix or 'int64'}"] += count
    return +quantities


def synaptic(node: NodeCounts) -> tuple[Counter[str], Counter[str]]:
    """What a spiking chip of Loihi's kind would do, and the operations that it has no counterpart for.

    Each effective product, and each code of an embedding's row, is a synaptic operation; each output of a Linear, each
    component of an updated mode and each update of a neuron or leaky integrator a neuron update; each code of a Linear
    and of a state-space node that is not zero, and each spike of a neuron, a spike; potentials that are read are none.
    """
    quantities, left = Counter[str](), Counter[str]()
    for item in node.operations:
        if item.kind in ("mac", "gather"):
            quantities["synaptic-operation"] += item.effective
        elif node.type not in NEURON_UPDATES:
            left[item.kind] += item.effective
    if node.type in NEURON_UPDATES:
        quantities["neuron-update"] += NEURON_UPDATES[node.type](node)
    if node.type in GRADED:
        quantities["spike"] += node.outputs - node.zero_outputs
    quantities["spike"] += node.spikes
    return +quantities, +left


def _multiplied(item: Operations, floating: bool, skip_zeros: bool) -> int:
    if not floating and (item.widths[0] <= TERNARY or item.widths[1] == 1):
        return 0
    return item.effective - item.accumulate if skip_zeros else item.dense


def _integer(*bits: int) -> str:
    return f"int{unit_width(max(bits))}"
