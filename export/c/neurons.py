"""Spiking neurons and leaky integrators."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...program.formats import Format
from ...program.nodes import LIF, AdaptiveLIF, CubaLIF, DrivenLIF, LeakyIntegrator, Neurons, Node
from ...program.nodes.layer import SPIKES, NeuronLayer
from ...program.nodes.resets import SUBTRACTING, is_late
from .arrays import Array
from .block import Block, Emitter, rounded
from .sums import Product, exact_sum
from .types import CType, of_bound, of_format

SPIKE = of_format(SPIKES)


def spikes(block: Block, node: NeuronLayer) -> Array:
    """A local pointer to the output z, which the state keeps where the next step needs it."""
    if not node.remembers_spikes:
        return block.output("z")
    kept = block.state("z", SPIKE, node.neurons)
    block.output_is(kept)
    return block.declare("z", kept)


def lif(block: Block, node: LIF) -> None:
    """Leaky integrate-and-fire."""
    _layer(block, node, lambda current: (current, f"({current})arriving"), [])


def cuba_lif(block: Block, node: CubaLIF) -> None:
    """Current-based leaky integrate-and-fire: the potential rises by the synaptic current of this step."""
    register, kind = of_bound(node.bounds()["the synapse"]), of_format(node.synapse)
    kept, raised, right = node.synapse_shifts
    code = block.each("beta", node.beta)
    remains = block.shifted_left("beta", kept, register)(f"({register}){code('r')} * ({register})w[r]", "r")
    added = block.shifted_left("arriving", raised, register)(f"({register})arriving", "r")
    new = block.stored(rounded(f"{remains} + {added}", right), node.synapse, register, kind)
    _layer(block, node, lambda current: (kind, f"w[r] = {new}"), [], second=kind)


def adaptive_lif(block: Block, node: AdaptiveLIF) -> None:
    """Adaptive LIF of either order."""
    drive, register = of_bound(node.bounds()["the drive"]), of_bound(node.bounds()["the adaptation"])
    own, adapted = (block.shifted_left("drive", shift, drive) for shift in node.drive_shifts)
    kept, coupled, jumped, right = node.adaptation_shifts
    factors = [(node.beta, kept, "w[r]"), (node.coupling, coupled, "seen"), (node.jump, jumped, "jumps")]
    terms = []
    for what, (codes, shift, value) in zip(("beta", "coupling", "jump"), factors, strict=True):
        code = block.each(what, codes)
        left = block.shifted_left(what, shift, register)
        terms.append(left(f"({register}){code('r')} * ({register}){value}", "r"))
    value = rounded(" + ".join(terms), right)
    kind = of_format(node.adaptation)
    new = block.stored(value, node.adaptation, register, kind)
    of_now = node.order == "se"
    behind = [
        f"const {of_format(node.potential)} seen = {'u[r]' if of_now else 'before'};",
        f"const {SPIKE} jumps = {'z[r]' if of_now else 'fired_before'};",
        f"w[r] = {new};",
    ]

    def driven(current: CType) -> tuple[CType, str]:
        return drive, f"({own(f'({drive})arriving', 'r')}) - ({adapted(f'({drive})w[r]', 'r')})"

    _layer(block, node, driven, behind, second=kind, before=not of_now)


def _layer(
    block: Block,
    node: Neurons,
    driven: Callable[[CType], tuple[CType, str]],
    behind: Sequence[str],
    second: CType | None = None,
    before: bool = False,
) -> None:
    """I, u, z and u's reset, and ``behind`` for each neuron; ``driven`` says what ``rise`` multiplies."""
    bounds, kind = node.bounds(), of_format(node.potential)
    current, register = of_bound(bounds["the current"]), of_bound(bounds["the potential"])
    x = block.read()
    u = block.state("u", kind, node.neurons, traced=True)
    block.declare("u", u)
    if second is not None:
        block.declare("w", block.state(node.states()[1].name, second, node.neurons, traced=True))
    z = spikes(block, node)
    products = [Product("input", node.input, node.input_width, x, node.format, node.input_shift, counts=block.counts())]
    if node.is_recurrent:
        own = node.recurrent, node.recurrent_width
        products.append(Product("recurrent", *own, z, SPIKES, node.recurrent_shift))
    right = block.shifted_right("current_shift", node.current_shift, current)
    alpha, rise, theta = (block.each(name, getattr(node, name)) for name in ("alpha", "rise", "threshold"))
    decayed, driving, down = node.potential_shifts
    left, lifted = (block.shifted_left("potential", shift, register) for shift in (decayed, driving))
    drive, what = driven(current)
    remains = left(f"({register}){alpha('r')} * ({register})u[r]", "r")
    added = lifted(f"({register}){rise('r')} * ({register})drive", "r")
    total, subtracting = rounded(f"{remains} + {added}", down), node.reset in SUBTRACTING
    if is_late(node.reset) and subtracting:
        total = f"({total}) - (u[r] > {theta('r')} ? ({register}){theta('r')} : 0)"
    stored = block.stored(total, node.potential, register, kind)
    if is_late(node.reset) and not subtracting:
        stored = f"u[r] > {theta('r')} ? 0 : {stored}"
    fallen = f"({kind})(raised - {theta('r')})" if subtracting else "0"
    rest = "raised" if is_late(node.reset) else f"z[r] ? {fallen} : raised"
    fires, counted = f"raised > {theta('r')}", []
    if node.refractory:
        waiting = of_format(Format(node.refractory.bit_length(), False, 0))
        block.declare("c", block.state("c", waiting, node.neurons))
        stored, fires = f"c[r] ? u[r] : {stored}", f"!c[r] && {fires}"
        counted = [f"c[r] = ({waiting})(z[r] ? {node.refractory} : c[r] ? c[r] - 1 : 0);"]

    def finish(value: str, r: str) -> list[str]:
        remembered = [f"const {kind} before = u[r];", f"const {SPIKE} fired_before = z[r];"] if before else []
        return [
            *remembered,
            f"const {current} arriving = {right(value, r)};",
            f"const {drive} drive = {what};",
            f"const {kind} raised = {stored};",
            f"z[r] = {fires};",
            *counted,
            f"u[r] = {rest};",
            *behind,
        ]

    exact_sum(block, current, node.bias, products, finish)


def driven_lif(block: Block, node: DrivenLIF) -> None:
    """Leaky integrate-and-fire of a current that arrives."""
    register, kind = of_bound(max(node.bounds().values())), of_format(node.potential)
    x = block.read()
    block.declare("u", block.state("u", kind, node.channels, traced=True))
    z = block.output("z")
    alpha, theta = block.each("alpha", node.alpha), block.each("threshold", node.threshold)
    kept = rounded(f"({register}){alpha('i')} * ({register})u[i]", node.alpha_frac)
    stored = block.stored(f"({kept}) + {x}[i]", node.potential, register, kind)
    block.loop(
        node.channels,
        f"const {kind} raised = {stored};",
        f"{z}[i] = raised > {theta('i')};",
        f"u[i] = {z}[i] ? 0 : raised;",
    )


def leaky_integrator(block: Block, node: LeakyIntegrator) -> None:
    """Potentials that inputs drive; they are the output too."""
    register, kind = of_bound(max(node.bounds().values())), of_format(node.output)
    x = block.read()
    kept = block.state("o", kind, node.channels)
    block.output_is(kept)
    block.declare("o", kept)
    decay = block.each("decay", node.decay)
    left = block.shifted_left("decay_shift", node.decay_shift, register)
    right = block.shifted_right("output_shift", node.output_shift, register)
    product = Product(
        "weight", node.weight, node.weight_width, x, node.format, node.weight_shift, counts=block.counts()
    )
    exact_sum(
        block,
        register,
        node.bias,
        [product],
        lambda total, r: [
            f"{total} += {left(f'({register}){decay(r)} * ({register})o[{r}]', r)};",
            f"o[{r}] = {block.stored(right(total, r), node.output, register, kind)};",
        ],
    )


EMITTERS: dict[type[Node], Emitter] = {
    LIF: lif,
    AdaptiveLIF: adaptive_lif,
    CubaLIF: cuba_lif,
    DrivenLIF: driven_lif,
    LeakyIntegrator: leaky_integrator,
}
