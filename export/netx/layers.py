"""The layers of a .net file as LoihiLIF nodes, as lava-dl's netx understands them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np

from ...program import Format
from ...program.nodes import SPIKES, LoihiLIF
from ...program.nodes.loihi import ALIGNMENT, BIAS_LIMIT, LIMITS, STATE_LIMIT, WEIGHT_LIMIT
from .fields import Fields

NEURONS = ("CUBA", "LOIHI")
UNREAD = ("scaleRho", "tauRho", "theta")
"""What slayer keeps of its surrogate gradient; netx does not read it either."""
DENSE_FIELDS = ("type", "shape", "inFeatures", "outFeatures", "weight", "weight_rec", "bias", "neuron")
MOST_NEURONS = 1 << 20
MOST_INPUTS = 4096
"""Inputs with neurons of their own: their weights are a diagonal in a square matrix."""
INPUT_WEIGHT = 64
"""What netx multiplies inputs by where an input layer says nothing."""
WHOLE = "quantize it in slayer (pre_hook_fx of the block) and export it again"
PLAIN = "export it without"
SPIKING = "give it CUBA neurons with a threshold; the class is then the neuron that spikes most often"


@dataclass
class Chain:
    """What has been read so far.

    Attributes:
        edge, format: what the next layer reads; no format where the file does not say how wide its input is.
        nodes: the layers.
        shape: of what the next layer reads; empty where that is not known yet.
        input_shape: of the network's input.
        named: what messages call the giver of ``shape``.
    """

    edge: str
    format: Format | None
    nodes: list[LoihiLIF] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    input_shape: tuple[int, ...] = ()
    named: str = "the input"

    def give(self, node: LoihiLIF, shape: tuple[int, ...]) -> None:
        """Append a layer of this shape."""
        self.nodes.append(node)
        self.edge, self.format, self.shape, self.named = node.name, SPIKES, shape, node.name


def read_input(layer: Fields, chain: Chain) -> None:
    """The shape of the input; where it has neurons, one LIF an input: ``v`` gets 64 (weight x + bias) at each step.

    netx gives that to the neuron's bias, so that no Dense delays it and no u filters it: du is 4095.
    """
    if chain.nodes or chain.shape:
        raise layer.refusal(" is an input behind other layers; export one network a file")
    layer.check_known(("type", "shape", "neuron", "weight", "bias"), PLAIN)
    if "shape" in layer:
        chain.shape = chain.input_shape = _shape(layer)
    if "neuron" not in layer:
        return
    count = prod(chain.shape)
    if not chain.shape or count > MOST_INPUTS:
        held = f"{count} inputs with neurons, {MOST_INPUTS} are held" if chain.shape else "neurons, but no shape"
        raise layer.refusal(f" has {held}; train the network without neurons at its input")
    if chain.format is None:
        raise layer.refusal(" takes values, and the file does not say how wide; give input_bits=8 (0 to 255), for one")
    weight = layer.integer("weight", -WEIGHT_LIMIT - 2, WEIGHT_LIMIT, WHOLE) if "weight" in layer else INPUT_WEIGHT
    codes, exponent = _synapses(layer, [np.eye(count, dtype=np.int64) * weight])
    bias = layer.integer("bias", -BIAS_LIMIT - 1, BIAS_LIMIT, WHOLE) if "bias" in layer else 0
    reach = abs(weight) * chain.format.magnitude
    if reach << ALIGNMENT > STATE_LIMIT:
        limit = (STATE_LIMIT >> ALIGNMENT) // abs(weight)
        raise layer.refusal(f": inputs reach {chain.format.magnitude}, above {limit} u wraps; give fewer input_bits")
    dynamics = _dynamics(layer.inner("neuron"), chain.shape) | {"du": LIMITS["du"]}
    node = _node(layer, chain, codes[0], np.zeros((count, 0), np.int16), exponent, np.full(count, bias), dynamics)
    chain.give(node, chain.shape)


def read_flatten(layer: Fields, chain: Chain) -> None:
    """A change of shape alone: the file's last axis runs fastest."""
    layer.check_known(("type", "shape"), PLAIN)
    shape = _shape(layer) if "shape" in layer else chain.shape
    if chain.shape and prod(shape) != prod(chain.shape):
        raise layer.refusal(f" makes {prod(shape)} values of {prod(chain.shape)}; export it anew")
    if not chain.nodes and not chain.input_shape:
        chain.input_shape = shape
    chain.shape = (prod(shape),) if shape else ()


def read_dense(layer: Fields, chain: Chain) -> None:
    """A layer ``dense`` or ``dense_rec`` of H neurons; a bias of one entry is that of each."""
    recurrent = layer.word("type") == "dense_rec"
    if "delay" in layer:
        raise layer.refusal(" has delays, which LoihiLIF nodes do not have; train it without")
    layer.check_known(DENSE_FIELDS if recurrent else set(DENSE_FIELDS) - {"weight_rec"}, PLAIN)
    if "neuron" not in layer:
        raise layer.refusal(f" has no neurons: netx reads its potential, a LoihiLIF node tells spikes alone; {SPIKING}")
    weight = layer.integers("weight", -WEIGHT_LIMIT - 2, WEIGHT_LIMIT, WHOLE)
    shape = _shape(layer) if "shape" in layer else (len(np.atleast_1d(weight)),)
    neurons = prod(shape)
    if weight.ndim == 1 and weight.size % neurons == 0:
        weight = weight.reshape(neurons, -1)
    if weight.ndim != 2 or len(weight) != neurons:
        raise layer.refusal(f": weight has shape {weight.shape} for {neurons} neurons; export it anew")
    _check_source(layer, chain, weight.shape[1])
    matrices = [weight]
    if recurrent:
        back = layer.integers("weight_rec", -WEIGHT_LIMIT - 2, WEIGHT_LIMIT, WHOLE)
        back = back.reshape(neurons, -1) if back.ndim == 1 and back.size % neurons == 0 else back
        if back.shape != (neurons, neurons):
            raise layer.refusal(f": weight_rec has shape {back.shape}, not {(neurons, neurons)}; export it anew")
        matrices.append(back)
    codes, exponent = _synapses(layer, matrices)
    back = codes[1] if recurrent else codes[0][:, :0]
    bias = np.zeros(neurons, np.int64)
    if "bias" in layer:
        bias = _each(layer, "bias", layer.integers("bias", -BIAS_LIMIT - 1, BIAS_LIMIT, WHOLE), neurons)
    if chain.format is None:
        chain.format = SPIKES  # what netx takes where nothing else is said
    node = _node(layer, chain, codes[0], back, exponent, bias, _dynamics(layer.inner("neuron"), shape))
    chain.give(node, (neurons,))


LAYERS: dict[str, Callable[[Fields, Chain], None]] = {
    "input": read_input,
    "flatten": read_flatten,
    "dense": read_dense,
    "dense_rec": read_dense,
}
"""What reads a layer, by its type in the file."""


def _node(
    layer: Fields,
    chain: Chain,
    weight: np.ndarray,
    recurrent: np.ndarray,
    exponent: int,
    bias: np.ndarray,
    dynamics: dict[str, int | np.ndarray],
) -> LoihiLIF:
    assert chain.format is not None
    return LoihiLIF(
        name=layer.name,
        inputs=(chain.edge,),
        output=SPIKES,
        format=chain.format,
        weight=weight,
        recurrent=recurrent,
        weight_bits=8,
        weight_exponent=exponent,
        bias=bias,
        **dynamics,
    )


def _dynamics(neuron: Fields, shape: tuple[int, ...]) -> dict[str, int | np.ndarray]:
    """``du``, ``dv`` and ``vth``: one, or one a neuron where they differ."""
    kind = neuron.word("type")
    if kind not in NEURONS:
        raise neuron.refusal(f" has {kind} neurons; {' and '.join(NEURONS)} are read; train it with CUBA neurons")
    fields = ("type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "messageBits", "wgtExp")
    neuron.check_known((*fields, *UNREAD), PLAIN)
    for name, only, cure in (
        ("refDelay", 1, "train it with a refractory delay of 1"),
        ("gradedSpike", 0, "train it with spikes of one size"),
        ("messageBits", 0, "train it with spikes of one size"),
        ("wgtExp", 0, "export it with weights at exponent 0"),
    ):
        if name in neuron:
            neuron.integers(name, only, only, cure)
    most = LIMITS["vth"]
    found = {
        "du": neuron.integers("iDecay", 1, 4096, "Loihi's current loses iDecay / 4096 a step") - 1,
        "dv": neuron.integers("vDecay", 0, 4095, "Loihi's voltage loses vDecay / 4096 a step"),
        "vth": neuron.integers("vThMant", 0, most, f"above {most} a neuron never spikes, and nothing is read of it"),
    }
    each = {what: _each(neuron, what, codes, prod(shape)) for what, codes in found.items()}
    return {what: int(codes[0]) if np.all(codes == codes[0]) else codes for what, codes in each.items()}


def _synapses(layer: Fields, matrices: list[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Codes and exponent: even weights as they are; where some are odd, all doubled and halved again behind the sum."""
    odd = [matrix[matrix % 2 != 0] for matrix in matrices]
    exponent = -1 if any(part.size for part in odd) else 0
    for what, matrix in zip(("weight", "weight_rec"), matrices, strict=False):
        beyond = (matrix << -exponent > WEIGHT_LIMIT) | (matrix << -exponent < -WEIGHT_LIMIT - 2)
        if beyond.any():
            value, other = int(matrix[beyond][0]), int(np.concatenate(odd)[0])
            raise layer.refusal(
                f": {what} holds {value} beside the odd {other}: even weights reach -256..254, others -128..127; "
                "quantize it in slayer with steps of 2"
            )
    return [(matrix << -exponent).astype(np.int16) for matrix in matrices], exponent


def _check_source(layer: Fields, chain: Chain, inputs: int) -> None:
    """Whether ``inputs`` values arrive, in one row."""
    arriving = chain.shape or (inputs,)
    if prod(arriving) != inputs:
        raise layer.refusal(f" takes {inputs} values, {chain.named} gives {prod(arriving)}; export it anew")
    if sum(size != 1 for size in arriving) > 1:
        raise layer.refusal(f" takes {inputs} values in a row, {chain.named} has shape {arriving}; put a flatten there")
    if not chain.input_shape:
        chain.input_shape = (inputs,)


def _shape(layer: Fields) -> tuple[int, ...]:
    shape = layer.integers("shape", 1, MOST_NEURONS, "export it anew").ravel()
    if prod(shape.tolist()) > MOST_NEURONS:
        raise layer.refusal(f": shape {tuple(shape.tolist())} has more than {MOST_NEURONS} entries; split the layer")
    return tuple(shape.tolist())


def _each(fields: Fields, what: str, codes: np.ndarray, neurons: int) -> np.ndarray:
    """One entry, or one a neuron, as one a neuron."""
    if codes.size not in (1, neurons):
        raise fields.refusal(f": {what} has {codes.size} entries for {neurons} neurons; give one, or one each")
    return np.broadcast_to(codes.ravel(), (neurons,)).copy()
