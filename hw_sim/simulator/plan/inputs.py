"""Planning of inputs: the machine writes their rows itself, by what the head says of them."""

from __future__ import annotations

from ....program.nodes import DenseInput, GapInput, Node, TokenInput
from .. import opcodes as o
from ..arenas import A64
from .planner import NodePlanner, Planner


def plan_token_input(planner: Planner, node: TokenInput) -> None:
    """Tokens, as wide rows of one channel."""
    _plan_values(planner, node)
    planner.head[o.H_VOCAB] = node.vocab


def plan_dense_input(planner: Planner, node: DenseInput) -> None:
    """Codes of dense values, as wide rows."""
    _plan_values(planner, node)
    planner.head[o.H_DENSE] = 1


def _plan_values(planner: Planner, node: TokenInput | DenseInput) -> None:
    head = planner.head
    head[o.H_VALUES] = planner.place(node, A64)
    head[o.H_CHANNELS], head[o.H_FRAC] = node.channels, node.output.frac
    head[o.H_LOW], head[o.H_HIGH] = node.output.min, node.output.max
    head[o.H_INPUT_SATURATIONS] = planner.plan.saturations[node.name]
    head[o.H_PENDING] = pending = planner.reserve_state(planner.a64, node.channels + 1)
    planner.plan.indices.append((pending, node.channels, *node.code_range))


def plan_gap_input(planner: Planner, node: GapInput) -> None:
    """Gaps in one unit, as wide rows of one channel."""
    planner.gaps += [node.unit_us, planner.place(node, A64), 0]


FUNCTIONS: dict[type[Node], NodePlanner] = {
    DenseInput: plan_dense_input,
    GapInput: plan_gap_input,
    TokenInput: plan_token_input,
}
