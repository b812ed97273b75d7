"""Reader of lava-dl netx .net files that hold dense layers of CUBA neurons."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ...errors import PumiceError
from ...program import Format, ProgramError
from ...program.nodes import SPIKES, LoihiLIF

NEURONS = ("CUBA", "LOIHI")
_NEEDED = ("iDecay", "vDecay", "vThMant")


def read_net(path: str | Path) -> list[LoihiLIF]:
    """The layers as nodes ``layer/0``, ``layer/1``, ..., each reading the one before, the first one ``dense``.

    A layer ``input`` without neurons is passed over. Without the attribute ``input_message_bits`` the input is spikes.

    Raises:
        PumiceError: not such a file, or a layer, neuron or value that a LoihiLIF node does not have.
    """
    path = Path(path)
    try:
        with h5py.File(path, "r") as file:
            groups = file["layer"]
            bits = int(file.attrs.get("input_message_bits", 0))
            edge, format = "dense", SPIKES if bits == 0 else Format(bits, bool(file.attrs.get("signed", False)), 0)
            nodes: list[LoihiLIF] = []
            for index in range(len(groups)):
                group = groups[str(index)]
                kind = _text(group["type"])
                if kind == "input" and "neuron" not in group:
                    continue
                node = _node(f"layer/{index}", kind, group, edge, format)
                nodes.append(node)
                edge, format = node.name, SPIKES
    except ProgramError as error:
        raise PumiceError(f"{path}: {error}") from error
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:  # a damaged file raises any of these
        raise PumiceError(f"{path} is not a .net file of lava-dl, or damaged ({error}); write it anew") from error
    return nodes


def _node(name: str, kind: str, group: h5py.Group, edge: str, format: Format) -> LoihiLIF:
    if kind not in ("dense", "dense_rec"):
        raise PumiceError(f"{name} has type {kind}; dense and dense_rec are read")
    if "delay" in group:
        raise PumiceError(f"{name} has delays, which LoihiLIF nodes do not have")
    neuron = group["neuron"]
    if _text(neuron["type"]) not in NEURONS:
        raise PumiceError(f"{name} has {_text(neuron['type'])} neurons; {' and '.join(NEURONS)} are read")
    current_decay, voltage_decay, threshold = (_shared_or_own(neuron[key]) for key in _NEEDED)
    weight = _matrix(group["weight"])
    recurrent = _matrix(group["weight_rec"]) if kind == "dense_rec" else np.zeros((len(weight), 0), dtype=np.int32)
    exponent = 0 if not np.any(np.hstack([weight, recurrent]) % 2) else -1  # odd weights are even ones, halved
    return LoihiLIF(
        name=name,
        inputs=(edge,),
        output=SPIKES,
        format=format,
        weight=(weight << -exponent).astype(np.int16),
        recurrent=(recurrent << -exponent).astype(np.int16),
        weight_bits=8,
        weight_exponent=exponent,
        bias=np.ravel(group["bias"][()]).astype(np.int64) if "bias" in group else np.zeros(len(weight), dtype=np.int64),
        du=current_decay - 1,
        dv=voltage_decay,
        vth=threshold,
    )


def _shared_or_own(data: h5py.Dataset) -> int | np.ndarray:
    codes = np.ravel(data[()]).astype(np.int64)
    return int(codes[0]) if np.all(codes == codes[0]) else codes


def _matrix(data: h5py.Dataset) -> np.ndarray:
    return data[()].astype(np.int32)


def _text(data: h5py.Dataset) -> str:
    value = data[()]
    value = value[0] if isinstance(value, np.ndarray) else value
    return value.decode("ascii") if isinstance(value, bytes) else str(value)
