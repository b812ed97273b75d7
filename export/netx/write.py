"""Writer of lava-dl netx .net files (the layout that lava-dl 0.6.0 exports and ``lava.lib.dl.netx.hdf5`` reads)."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ...errors import PumiceError
from ...files import atomic_path
from ...program import Program, digest
from ...program.nodes import LoihiLIF, Readout
from ...program.nodes.loihi import WEIGHT_LIMIT
from .content import CONTENT, content_digest

REFRACTORY_DELAY = 1


def write_net(program: Program, path: str | Path) -> list[LoihiLIF]:
    """Write the program's layers as ``dense`` and ``dense_rec`` with CUBA neurons; return the nodes written.

    lava-dl knows layers alone. Attributes of the root tell the rest, see `attributes_of`; `program_of` reads them.

    Raises:
        PumiceError: a program that is not a chain of LoihiLIF nodes, weights that netx would not load as they are, or
            a folder that cannot be written to.
    """
    nodes = loihi_chain(program)
    folded = [_folded(node) for node in nodes]
    memory = io.BytesIO()  # a full disk is then an error of one write, and none that HDF5 meets while it closes
    with h5py.File(memory, "w") as file:
        attributes = attributes_of(program, nodes)
        file.attrs.update(attributes | {CONTENT: content_digest(nodes, attributes)})
        for index, (node, (weight, recurrent)) in enumerate(zip(nodes, folded, strict=True)):
            _write_layer(file.create_group(f"layer/{index}"), node, weight, recurrent)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())
    return nodes


def attributes_of(program: Program, nodes: Sequence[LoihiLIF]) -> dict[str, Any]:
    """What the user of a file has to know, by attribute of its root.

    - ``input_message_bits`` and ``signed``: of the input, for netx's ``Network(..., input_message_bits=...)``;
    - ``input_min``, ``input_max``: what inputs have to be clipped to, since netx does not: the program saturates them;
    - ``step_us``: microseconds of one step, where the program knows them;
    - ``class_names``: of the last layer's neurons, in their order;
    - ``readout``: how spikes of the last layer become logits, JSON of the node `Readout`; ``mean`` is spikes a step,
      so that the class is the neuron that spikes most often, the lowest of equals;
    - ``program``: its digest. Beside these lies ``content``, the digest of what the file holds.
    """
    source = nodes[0].format
    (readout,) = (node for node in program.of_type(Readout) if node.name == program.logits)
    told = {"mode": readout.mode, "extra_bits": readout.extra_bits}
    told |= {"window": readout.window, "decay_shift": readout.decay_shift}
    step = {} if program.step_us is None else {"step_us": program.step_us}
    return {
        "input_message_bits": nodes[0].message_bits,
        "signed": source.signed,
        "input_min": source.min,
        "input_max": source.max,
        **step,
        "class_names": list(program.class_names),
        "readout": json.dumps(told),
        "program": digest(program),
    }


def loihi_chain(program: Program) -> list[LoihiLIF]:
    """The layers of a program that is an input, LoihiLIF nodes one behind the other, and a read-out of their spikes.

    Raises:
        PumiceError: it holds other nodes, or connects them otherwise; names the first.
    """
    layers = {node.name: node for node in program.of_type(LoihiLIF)}
    last = program.value_input.name
    for node in program:
        if node.name in layers and node.inputs == (last,):
            last = node.name
        elif not (node is program.value_input and node.event_shape) and not node.reads_out:
            kind = type(node).__name__
            raise PumiceError(
                f"node {node.name} is a {kind}; lava-dl files hold chains of LoihiLIF nodes alone, as quantize=loihi "
                "makes them of networks of LIF neurons"
            )
    if not layers or program[program.logits].inputs != (last,):
        raise PumiceError(f"node {program.logits} reads no chain of LoihiLIF nodes; lava-dl files hold no other")
    return list(layers.values())


def _write_layer(group: h5py.Group, node: LoihiLIF, weight: np.ndarray, recurrent: np.ndarray) -> None:
    kind = b"dense_rec" if node.is_recurrent else b"dense"
    group.create_dataset("type", (1,), "S10", [kind])
    group.create_dataset("shape", data=np.array([node.neurons]))
    group.create_dataset("inFeatures", data=weight.shape[1])
    group.create_dataset("outFeatures", data=node.neurons)
    group.create_dataset("weight", data=weight)
    if node.is_recurrent:
        group.create_dataset("weight_rec", data=recurrent)
    group.create_dataset("bias", data=node.bias.astype(np.int32))
    neuron = group.create_group("neuron")
    neuron.create_dataset("type", data="CUBA")
    values = {"iDecay": node.each("du") + 1, "vDecay": node.each("dv"), "vThMant": node.each("vth")}
    for key, value in values.items():  # netx hands LIF one less than iDecay
        neuron.create_dataset(key, data=value if np.any(value != value[0]) else value[0])
    neuron.create_dataset("refDelay", data=REFRACTORY_DELAY)
    neuron.create_dataset("gradedSpike", data=False)


def _folded(node: LoihiLIF) -> tuple[np.ndarray, np.ndarray]:
    """W and V as integers that netx loads unchanged, the weight exponent folded in; int32.

    Raises:
        PumiceError: there are none.
    """
    exponent = node.weight_exponent
    both = np.hstack([node.weight, node.recurrent]).astype(np.int32)
    shifted = both << exponent if exponent > 0 else both >> -exponent
    if exponent < 0 and np.any(shifted << -exponent != both):
        raise PumiceError(f"node {node.name}: netx has no weight exponent, and {exponent} does not divide its weights")
    low, high = -WEIGHT_LIMIT - 2, WEIGHT_LIMIT
    if shifted.min() < low or shifted.max() > high:
        raise PumiceError(
            f"node {node.name}: weights lie in {shifted.min()}..{shifted.max()}, netx loads {low}..{high}; "
            "lower the weights or the weight exponent"
        )
    weight, recurrent = np.split(shifted, [node.weight.shape[1]], axis=1)
    _refuse_misread(node, shifted, [weight, recurrent] if node.is_recurrent else [weight])
    return weight, recurrent


def _refuse_misread(node: LoihiLIF, both: np.ndarray, matrices: list[np.ndarray]) -> None:
    """netx shifts W and V together to the full width of a synapse. Without a weight it divides by zero; and of a matrix
    without positive weights, which Dense holds from -255 up, it clips -256 and then cuts it to the bits it counted.
    """
    most, least = int(both.max()), int(both.min())
    if most == least == 0:
        raise PumiceError(f"node {node.name}: all its weights are 0, which netx cannot load; train it, or leave it out")
    if most < 0:
        shift = int(np.floor(np.log2(-256 / least)))
    elif least >= 0:
        shift = int(np.floor(np.log2(255 / most)))
    else:
        scales = [127 / most] if most else []
        shift = int(np.floor(np.log2(min([*scales, -128 / least])))) + 1
    for matrix in matrices:
        if matrix.size and matrix.max() <= 0 and int(matrix.min()) << shift < -255:
            raise PumiceError(
                f"node {node.name}: netx would load a matrix without positive weights wrongly, since its lowest, "
                f"{int(matrix.min())}, is a power of two; change that weight by 2"
            )
