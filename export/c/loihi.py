"""Neurons in Loihi's own arithmetic."""

from __future__ import annotations

import numpy as np

from ...program.bounds import dot_bound
from ...program.nodes import SPIKES, LoihiLIF, Node
from ...program.nodes.loihi import ALIGNMENT, DECAY_BITS, STATE_LIMIT
from .block import Block, Emitter
from .neurons import spikes
from .sums import Product, exact_sum
from .types import I32, I64, literal, of_bound


def loihi_lif(block: Block, node: LoihiLIF) -> None:
    """Current-based LIF: u wraps, v clips, decays round towards zero."""
    bounds, most = node.bounds(), node.format.magnitude
    unit = 1 << (9 - node.weight_bits)  # what all weights are multiples of
    driven = dot_bound(node.weight, most) + dot_bound(node.recurrent, 1)
    shifted = int(max(driven, default=0)) << (ALIGNMENT + max(node.weight_exponent, 0))
    register = of_bound(max(bounds["the current"], bounds["the potential"], shifted))
    x = block.read()
    u = block.declare("u", block.state("u", I32, node.neurons, traced=True))
    v = block.declare("v", block.state("v", I32, node.neurons, traced=True))
    z = spikes(block, node)

    def scale(value: str, row: str) -> str:
        units = f"({value}) * {unit}" if unit > 1 else value
        if node.weight_exponent < 0:
            return f"({units}) >> {-node.weight_exponent}"
        return f"({units}) * {1 << node.weight_exponent}"

    products = [
        Product("weight", node.weight // unit, node.weight_bits, x, node.format, scale=scale, counts=block.counts())
    ]
    if node.is_recurrent:
        products.append(Product("recurrent", node.recurrent // unit, node.weight_bits, z, SPIKES, scale=scale))
    kept_u = block.each("kept_u", (1 << DECAY_BITS) - (node.each("du") + 1))
    kept_v = block.each("kept_v", (1 << DECAY_BITS) - node.each("dv"))
    bias, theta = block.each("lift", node.bias.astype(np.int64)), block.each("threshold", node.each("vth"))
    one, limit = literal(1 << ALIGNMENT), literal(STATE_LIMIT)
    clipped = block.call(f"clip{register.bits}")
    low, high = literal(1 - STATE_LIMIT), literal(STATE_LIMIT - 1)

    def decayed(state: str, kept: str) -> str:
        return f"({register})(({I64}){state} * {kept} / {1 << DECAY_BITS})"

    def finish(total: str, r: str) -> list[str]:
        return [
            f"const {register} current = {decayed(f'u[{r}]', kept_u(r))} + {total} * {one};",
            f"const {register} above = current > {limit} ? current - 2 * {limit} : current;",
            f"const {register} wrapped = above <= -{limit} ? above + 2 * {limit} : above;",
            "#ifdef PUMICE_COUNT",
            f"s->saturations[{block.index}] += wrapped != current;",
            "#endif",
            f"const {register} raised = {decayed(f'v[{r}]', kept_v(r))} + wrapped + {bias(r)} * {one};",
            f"const {register} potential = {clipped}(s, {block.index}, raised, {low}, {high});",
            f"{u}[{r}] = ({I32})wrapped;",
            f"{z}[{r}] = potential > ({register}){theta(r)} * {one};",
            f"{v}[{r}] = {z}[{r}] ? 0 : ({I32})potential;",
        ]

    exact_sum(block, register, np.zeros(node.neurons, dtype=np.int64), products, finish)


EMITTERS: dict[type[Node], Emitter] = {LoihiLIF: loihi_lif}
