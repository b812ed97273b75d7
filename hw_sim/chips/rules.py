"""The rules: each goes through a program and tells what a chip cannot hold, by layer, limit and actual value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...program import Program
from ...program.nodes import Node
from ...program.nodes import features as f
from ...program.nodes.base import VALUE
from ...program.nodes.facts import State
from .mapping import is_unit, place
from .profile import ChipProfile

CURES = {
    f.COMPLEX: "model=real-s5/tiny has real decays; a network of spiking neurons has none (model=adlif/tiny)",
    f.REAL_MODES: "a network of spiking neurons (model=adlif/tiny model.cell=lif) has neurons in their place",
    f.LAYER_NORM: "model.norm=batch folds into multipliers; networks of spiking neurons have no norm",
    f.SCALE: "train without norms (adaptive LIF networks have none)",
    f.TABLE: "take a model without gates and functions (model=adlif/tiny)",
    f.PRODUCT: "take a model without gates (model=adlif/tiny)",
    f.WINDOWS: "model.stride=1 keeps every event; a clocked network has no windows (model=adlif/tiny)",
    f.LEAKY: "this chip computes no leaky neurons; choose another",
    f.CUBA: "this chip computes no such neurons; model.cell=lif with quantize=w8a8 has no current of its own",
    f.ADAPTATION: "model.cell=lif has no adaptation",
    f.REFRACTORY: "model.refractory=0 lets neurons spike in the step after a spike",
    f.RECURRENT: "train feed-forward layers (model.recurrent=false), where the family has them",
}
"""What a setting does about a feature that a chip lacks."""


@dataclass(frozen=True)
class Breach:
    """One limit that a program does not keep.

    Attributes:
        rule: its name.
        where: the node, the layer, or ``program``.
        limit: of the chip, in words or as a number with its unit.
        actual: what the program has.
        cure: which setting would change it.
    """

    rule: str
    where: str
    limit: str
    actual: str
    cure: str


def missing_nodes(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Nodes of a kind that the chip does not compute."""
    for node in program:
        for feature in node.features:
            if feature not in profile.features:
                yield Breach("nodes", node.name, f"no {feature}", feature, CURES[feature])


def own_arithmetic(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Neurons whose rounding is not that of the chip's own."""
    if not profile.arithmetic:
        return
    for node in program:
        if {f.LEAKY, f.CUBA} & set(node.features) and node.chip != profile.arithmetic:
            own = node.chip or "Pumice's"
            cure = f"quantize={profile.arithmetic} lowers LIF networks to it" if profile.arithmetic == "loihi" else ""
            yield Breach("arithmetic", node.name, f"{profile.arithmetic} neurons", f"{own} arithmetic", cure)


def weight_widths(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Weights of more bits than a synapse has."""
    cure = "lower it: quantize.widths or quantize.layers={layer: {width: bits}} (docs/quantization.md)"
    yield from _widest(
        program,
        profile,
        "weight_bits",
        lambda node: {tensor.name: tensor.width for tensor in node.weight_tensors()},
        cure,
    )


def state_widths(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """States of more bits than a compartment has."""
    cure = "lower quantize.widths.state, potential, adaptation or residual"
    yield from _widest(
        program, profile, "state_bits", lambda node: {state.name or "state": state.width for state in _kept(node)}, cure
    )


def decay_widths(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Decays of more bits than the chip keeps."""

    def widths(node: Node) -> dict[str, int]:
        return {tensor.name: tensor.width for tensor in node.tensors() if tensor.name in node.decay_tensors}

    yield from _widest(program, profile, "decay_bits", widths, "lower quantize.widths.decay or constant")


def bias_widths(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Biases of more bits than the chip keeps."""

    def widths(node: Node) -> dict[str, int]:
        return {tensor.name: _bits(tensor.codes) for tensor in node.tensors() if tensor.name == "bias"}

    yield from _widest(program, profile, "bias_bits", widths, "train without biases, or with smaller ones")


def message_widths(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Values of more bits than a message carries from one layer to the next."""
    read = {
        edge
        for node in program
        if is_unit(node)
        for edge, role in zip(node.inputs, node.roles, strict=True)
        if role == VALUE
    }

    def widths(node: Node) -> dict[str, int]:
        return {"output": node.output.width} if node.name in read and not node.is_input else {}

    cure = "lower quantize.widths.activation or residual; spikes need 1 bit (a network of spiking neurons)"
    yield from _widest(program, profile, "message_bits", widths, cure)


def decays_of_layers(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Layers of more different decays than the chip has for one."""
    most = profile.value("decays_per_layer")
    if most is None:
        return
    for node in program:
        for state in node.states():
            count = 0 if state.loss is None else len(np.unique(state.loss))
            if count > most:
                where = node.name if not state.name else f"{node.name}:{state.name}"
                cure = "quantize=loihi with quantize.shared_param=true shares one a layer"
                yield Breach("decays", where, f"{most} a layer", f"{count} different", cure)


def fan_ins(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Neurons of more inputs than the chip connects."""
    most = profile.value("fan_in")
    if most is None:
        return
    for node in program:
        actual = sum(int(np.count_nonzero(codes, axis=1).max()) for codes in _by_source(node).values())
        if actual > most:
            yield Breach("fan-in", node.name, f"{most} inputs", f"{actual}", "narrow the layer before it, or prune")


def fan_outs(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Neurons, or input channels, that reach more neurons than the chip connects."""
    most = profile.value("fan_out")
    if most is None:
        return
    reached: dict[str, np.ndarray] = {}
    for node in program:
        for source, codes in _by_source(node).items():
            reached[source] = reached.get(source, np.zeros(codes.shape[1], int)) + np.count_nonzero(codes, axis=0)
    for source, counts in reached.items():
        if counts.max() > most:
            yield Breach(
                "fan-out", source, f"{most} outputs", f"{counts.max()}", "narrow the layers behind it, or prune"
            )


def sizes(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """Channels, neurons, synapses, layers and memory beyond those of the whole chip."""
    units = [node for node in program if is_unit(node)]
    last = _last_units(program)
    source, outputs = program.value_input, program[program.logits].channels
    bits = sum(node.parameter_bits + node.state_bits for node in program)
    have = {
        "inputs": source.channels if source.event_shape else source.code_range[1] + 1,
        "outputs": outputs,
        "neurons": sum(node.channels for node in units),
        "hidden_neurons": sum(node.channels for node in units if node.name not in last),
        "synapses": sum(int(np.count_nonzero(tensor.codes)) for node in program for tensor in node.weight_tensors()),
        "layers": len(units),
        "chip_bytes": -(-bits // 8),
        "flash_bytes": sum(map(_in_flash, program)),
        "ram_bytes": sum(_stored(state.size, state.width) for node in program for state in _kept(node)),
    }
    cures = {
        "inputs": "group channels (task.group, task.downsample)",
        "outputs": "fewer classes",
        "flash_bytes": "lower widths, prune (training.sparsity), or c.pack=true packs weights below 8 bits",
        "ram_bytes": "fewer modes or neurons, narrower states",
    }
    for name, actual in have.items():
        most = profile.value(name)
        if most is not None and actual > most:
            cure = cures.get(name, "a smaller model, or lower widths where it is memory")
            yield Breach(
                name.replace("_", " "), "program", f"{most:,} {profile.limits[name].unit}", f"{actual:,}", cure
            )


def cores(program: Program, profile: ChipProfile) -> Iterator[Breach]:
    """More cores than there are, each layer on its own."""
    most, placed = profile.value("cores"), place(program, profile)
    taken = sum(entry.cores for entry in placed)
    if most is not None and taken > most:
        largest = max(placed, key=lambda entry: entry.cores)
        cure = f"a smaller model; {largest.layer} alone takes {largest.cores} by its {largest.by}"
        yield Breach("cores", "program", f"{most} cores", f"{taken}", cure)


RULES: tuple[Callable[[Program, ChipProfile], Iterator[Breach]], ...] = (
    missing_nodes,
    own_arithmetic,
    weight_widths,
    state_widths,
    decay_widths,
    bias_widths,
    message_widths,
    decays_of_layers,
    fan_ins,
    fan_outs,
    sizes,
    cores,
)


def _widest(
    program: Program, profile: ChipProfile, limit: str, widths: Callable[[Node], dict[str, int]], cure: str
) -> Iterator[Breach]:
    """A breach for each node that has more bits than ``limit``."""
    most = profile.value(limit)
    if most is None:
        return
    for node in program:
        for name, bits in widths(node).items():
            if bits > most:
                yield Breach(limit.replace("_", " "), f"{node.name}:{name}", f"{most} bit", f"{bits} bit", cure)


def _kept(node: Node) -> tuple[State, ...]:
    """The states that a chip keeps."""
    return node.states() if is_unit(node) else ()


def _bits(codes: np.ndarray) -> int:
    """Bits of a signed number that holds the largest of ``codes``."""
    return int(np.abs(codes).max(initial=0)).bit_length() + 1


def _stored(count: int, width: int) -> int:
    """Bytes of ``count`` numbers of ``width`` bits in C's types."""
    return count * next(size for size in (1, 2, 4, 8, 16) if width <= 8 * size)


def _in_flash(node: Node) -> int:
    """Bytes of a node's tensors in a C program; of a matrix of few weights (export/c/sparse.py) each with its place, a
    byte, and two bytes a line.
    """
    total, matrices = 0, {tensor.name for tensor in node.weight_tensors()} - {"table"}
    for tensor in node.tensors():
        whole = _stored(tensor.codes.size, tensor.width)
        if tensor.name in matrices and tensor.codes.ndim == 2:
            kept = int(np.count_nonzero(tensor.codes))
            without = _stored(kept, tensor.width) + kept + 2 * (max(tensor.codes.shape) + 1)
            whole = without if 4 * without <= 3 * whole else whole
        total += whole
    return total


def _by_source(node: Node) -> dict[str, np.ndarray]:
    """Its matrices by the edge that each reads, those that read one edge (real and imaginary parts) as one."""
    found: dict[str, np.ndarray] = {}
    for tensor in node.weight_tensors():
        if tensor.codes.ndim != 2:
            continue
        source = node.name if tensor.name == "recurrent" else node.inputs[_operand(tensor.name)]
        known = found.get(source)
        found[source] = tensor.codes if known is None else np.concatenate([known, tensor.codes])
    return found


def _operand(name: str) -> int:
    """The input that a matrix reads: ``weights[1]`` the second, all others the first."""
    return int(name.partition("[")[2].rstrip("]")) if "[" in name else 0


def _last_units(program: Program) -> set[str]:
    """The units nearest to the logits, which are the outputs."""
    found, edges = set(), [program.logits]
    while edges:
        node = program[edges.pop()]
        if is_unit(node):
            found.add(node.name)
        else:
            edges += node.inputs
    return found
