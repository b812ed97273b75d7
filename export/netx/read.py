"""Reader of lava-dl netx .net files that hold dense layers of CUBA neurons: carried exactly, or refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import PumiceError
from ...hdf5 import Group, open_hdf5
from ...program import Format, ProgramError
from ...program.nodes import SPIKES, LoihiLIF
from .content import CONTENT, content_digest
from .fields import Fields, printable
from .layers import LAYERS, Chain

INPUT = "dense"
"""The edge that the first layer reads."""


@dataclass(frozen=True, eq=False)
class Net:
    """What a .net file holds.

    Attributes:
        nodes: the layers, one behind the other.
        shape: of the input of one step, as the file gives it; rows of samples are flat, its last axis running fastest.
        attributes: of the file's root.
    """

    nodes: tuple[LoihiLIF, ...]
    shape: tuple[int, ...]
    attributes: dict[str, Any]


def read_net(path: str | Path) -> list[LoihiLIF]:
    """The layers as nodes ``layer/0``, ``layer/1``, ..., each reading the one before, the first one ``dense``.

    See `read_file` for the input.

    Raises:
        PumiceError: not such a file, or a layer, neuron or value that a LoihiLIF node does not have.
    """
    return list(read_file(path).nodes)


def read_file(path: str | Path, input_bits: int | None = None, signed: bool | None = None) -> Net:
    """The layers, and how to feed them.

    Args:
        path: of the file.
        input_bits: of the input, as netx's ``input_message_bits``: 0 for spikes, otherwise the width of the whole
            numbers that arrive. None: the root's attribute ``input_message_bits``, or spikes, as netx has it too.
        signed: whether these numbers may be negative. None: the root's attribute ``signed``, or not.

    Raises:
        PumiceError: not such a file, or a layer, neuron or value that a LoihiLIF node does not have: names the file,
            the layer, the field, the value and the limit.
    """
    path = Path(path)
    try:
        with open_hdf5(path) as file:
            attributes = file.attributes()
            stated = attributes.get("input_message_bits") if input_bits is None else input_bits
            sign = attributes.get("signed", False) if signed is None else signed
            chain = _read_layers(_layers(file, path), None if stated is None else input_format(int(stated), bool(sign)))
    except FileNotFoundError:
        raise PumiceError(f"{path} does not exist; name a .net file of lava-dl") from None
    except ProgramError as error:
        raise PumiceError(f"{path}: {error}") from error
    except PumiceError:
        raise
    except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:  # a damaged file raises any of these
        raise PumiceError(
            f"{path} is not a .net file of lava-dl, or damaged ({printable(str(error))}); write it anew"
        ) from error
    if CONTENT in attributes and attributes[CONTENT] != content_digest(chain.nodes, attributes):
        raise PumiceError(
            f"{path} does not match its digest: it was damaged or changed; write it anew, or take away the attribute "
            f"{CONTENT} if you changed it"
        )
    return Net(tuple(chain.nodes), chain.input_shape, attributes)


def input_format(bits: int, signed: bool) -> Format:
    """The format of spikes (``bits`` 0), or of whole numbers of ``bits`` bits.

    Raises:
        PumiceError: bits that no input has.
    """
    if not 0 <= bits <= 16 or (signed and bits < 2):
        raise PumiceError(f"inputs of {bits} bits{', signed,' if signed else ''} are outside 0 to 16; choose fewer")
    return SPIKES if bits == 0 else Format(bits, signed, 0)


def _layers(file: Group, path: Path) -> list[Fields]:
    groups = file.get("layer")
    if not isinstance(groups, Group) or not len(groups):
        raise PumiceError(f"{path} holds no layers; name a .net file that slayer's export_hdf5 wrote")
    found = []
    for index in range(len(groups)):
        group = groups.get(str(index))
        if not isinstance(group, Group):
            raise PumiceError(f"{path} has {len(groups)} layers, but no layer/{index}; export it anew")
        found.append(Fields(group, f"layer/{index}"))
    return found


def _read_layers(layers: list[Fields], format: Format | None) -> Chain:
    for layer in layers:  # all kinds are known before the first weight is read
        kind = layer.word("type")
        if kind not in LAYERS:
            raise layer.refusal(f" is of type {kind}; {', '.join(LAYERS)} are read; train the network without it")
    chain = Chain(INPUT, format)
    for layer in layers:
        LAYERS[layer.word("type")](layer, chain)
    if not chain.nodes:
        raise layers[-1].refusal(" is the last one, and none has neurons; export the whole network")
    return chain
