"""What every node has: a name, input edges, one output edge of the same name, bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from ..bounds import check_bounds
from ..errors import ProgramError
from ..formats import Format

QUERY = 0
"""The rate of edges behind a read-out: a running value, defined at every moment and read when asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Node:
    """One operation. Its output edge carries the node's name.

    Attributes:
        name: unique in the program; slashes group nodes as the model's modules do.
        inputs: the edges (node names) it reads, in the order its equation uses them.
        output: the format of its output edge.
    """

    name: str
    inputs: tuple[str, ...]
    output: Format

    keeps_state: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ProgramError("a node needs a name")
        for field in fields(self):
            value = getattr(self, field.name)
            for array in value if isinstance(value, tuple) else (value,):
                if isinstance(array, np.ndarray):
                    if array.dtype.kind not in "iu":
                        raise ProgramError(f"node {self.name}: {field.name} must hold integers, not {array.dtype}")
                    array.setflags(write=False)
        self.validate()
        check_bounds(self.name, self.bounds())

    @property
    def channels(self) -> int:
        """Channels of the output edge."""
        raise NotImplementedError

    @property
    def stride(self) -> int:
        """Input events per output event."""
        return 1

    @property
    def state_fracs(self) -> np.ndarray:
        """Fractional bits of each component of the state that is traced beside the output; empty where none is."""
        return np.zeros(0, dtype=np.int64)

    @property
    def input_formats(self) -> tuple[Format, ...]:
        """The formats that the input edges must have, in order."""
        return ()

    @property
    def input_channels(self) -> tuple[int, ...]:
        """The channels that the input edges must have, in order."""
        return ()

    def validate(self) -> None:
        """Check shapes and ranges of the node's own tensors."""

    def bounds(self) -> Mapping[str, int]:
        """Bounds of every intermediate, by name."""
        return {}

    def require(self, condition: bool, message: str) -> None:
        """Raise a ProgramError that names this node unless ``condition`` holds."""
        if not condition:
            raise ProgramError(f"node {self.name}: {message}")

    def require_range(self, what: str, array: np.ndarray, low: int, high: int) -> None:
        """Every element of ``array`` must lie in ``[low, high]``."""
        if array.size:
            least, most = int(array.min()), int(array.max())
            self.require(low <= least and most <= high, f"{what} holds {least}..{most}, outside {low}..{high}")

    def require_shape(self, what: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
        """``array`` must have exactly this shape."""
        self.require(array.shape == shape, f"{what} has shape {array.shape}, not {shape}")


REGISTRY: dict[str, type[Node]] = {}
"""Node types by the name that files use."""


def register_node(cls: type[Node]) -> type[Node]:
    """Class decorator: make a node type known to the file format under its class name."""
    REGISTRY[cls.__name__] = cls
    return cls


MAX_SHIFT = 60


def check_narrow(node: Node, what: str, codes: np.ndarray, width: int) -> None:
    """Weights are symmetric codes of ``width`` bits: ``|q| <= 2**(width - 1) - 1``."""
    node.require(2 <= width <= 32, f"{what} of {width} bits is outside 2..32")
    limit = (1 << (width - 1)) - 1
    node.require_range(what, codes, -limit, limit)


def check_shift(node: Node, what: str, shift: int | np.ndarray) -> None:
    """Shifts beyond +-60 bits have no place in 64-bit registers."""
    node.require_range(what, np.asarray(shift), -MAX_SHIFT, MAX_SHIFT)
