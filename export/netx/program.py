"""A program of a .net file: an import, which lies here beside the reader and writer of the format."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...program import Format, Program, ProgramError
from ...program.nodes import SPIKES, DenseInput, Readout
from .read import INPUT, Net, read_file

LOGITS = "logits"
EXTRA_BITS = 12
READOUT = {"mode": "mean", "extra_bits": EXTRA_BITS, "window": 0, "decay_shift": 0}
"""Spikes a step: the class is the neuron that spikes most often, as lava-dl has it."""


def program_of(
    path: str | Path,
    *,
    input_bits: int | None = None,
    signed: bool | None = None,
    class_names: Sequence[str] | None = None,
    step_us: int | None = None,
) -> Program:
    """The whole program of a .net file of lava-dl's netx: input, layers, read-out, class names, provenance.

    Its logits are the spikes a step of the last layer, or what the root's attribute ``readout`` says (`write_net`).

    Args:
        path: of the file.
        input_bits, signed: of the input, see `read_file`.
        class_names: one a neuron of the last layer, in its order. None: the file's, or the neurons' numbers.
        step_us: microseconds a step. None: the file's, or not known.

    Raises:
        PumiceError: not such a file, or a layer, neuron or value that the program cannot hold; names the file, the
            layer, the field, the value and the limit.
    """
    path = Path(path)
    net = read_file(path, input_bits, signed)
    first, last = net.nodes[0], net.nodes[-1]
    provenance = {
        "source": {
            "format": "lava-dl netx",
            "file": path.name,
            "sha256": _digest(path),
            "input_shape": list(net.shape),
        },
        "versions": {"pumice": metadata.version("pumice"), "numpy": np.__version__},
    }
    try:
        readout = _stated_readout(net)
        return Program(
            nodes=(
                DenseInput(name=INPUT, inputs=(), output=first.format, size=first.weight.shape[1]),
                *net.nodes,
                Readout(
                    name=LOGITS,
                    inputs=(last.name,),
                    output=Format(readout["extra_bits"] + 1, False, readout["extra_bits"]),
                    format=SPIKES,
                    size=last.neurons,
                    **readout,
                ),
            ),
            logits=LOGITS,
            pairing="causal",
            class_names=_class_names(net) if class_names is None else tuple(class_names),
            provenance=provenance,
            step_us=_stated_step(net) if step_us is None else step_us,
        )
    except ProgramError as error:
        raise PumiceError(f"{path}: {error}") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _class_names(net: Net) -> tuple[str, ...]:
    given = net.attributes.get("class_names")
    if given is None:
        return tuple(map(str, range(net.nodes[-1].neurons)))
    return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in np.ravel(given))


def _stated_step(net: Net) -> int | None:
    given = net.attributes.get("step_us")
    return None if given is None else _whole("step_us", given)


def _stated_readout(net: Net) -> dict[str, Any]:
    given = net.attributes.get("readout")
    if given is None:
        return dict(READOUT)
    try:
        found = json.loads(str(given))
    except json.JSONDecodeError as error:
        raise ProgramError(f"the attribute readout is no JSON ({error}); write the file anew") from None
    if not isinstance(found, Mapping) or set(found) != set(READOUT) or not isinstance(found["mode"], str):
        raise ProgramError(f"the attribute readout has other entries than {', '.join(READOUT)}; write the file anew")
    return {"mode": found["mode"]} | {key: _whole(key, value) for key, value in found.items() if key != "mode"}


def _whole(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ProgramError(f"the attribute {what}={value} is no whole number; write the file anew")
    return int(value)
