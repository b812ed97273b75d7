"""What every node has and tells: a name, input edges, one output edge of the same name, bounds, tensors, states.

Who counts, describes or traces a program loops over these facts and asks no node for its type. Who executes one
(reference, simulator, ONNX, Lava, counts) keeps one table by type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..bounds import check_bounds, register
from ..errors import ProgramError
from ..formats import Format
from .check import check_fields
from .facts import TRACED, State, Tensor, whole_codes

QUERY = 0
"""The rate of edges behind a read-out: a running value, defined at every moment and read when asked for."""

VALUE = "value"
"""The role of an input edge that carries values."""

GAP = "gap"
"""The role of an input edge whose gaps decays count."""

WEIGHT = "weight"
"""The role of an input edge whose gaps weigh values."""

TOTAL = "total"
"""The role of an input edge of gaps at the full rate, to be summed."""


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

    equation: ClassVar[str] = ""
    """What it computes, in a line; the docstring says it in full."""

    is_input: ClassVar[bool] = False
    """Whether the host gives its value."""

    keeps_state: ClassVar[bool] = False
    """Whether its output depends on earlier events."""

    reads_out: ClassVar[bool] = False
    """Whether its output is a running value, defined at every moment."""

    is_series: ClassVar[bool] = False
    """Whether its output, where a read-out reads it, is a result at every step as well."""

    demands: ClassVar[tuple[str, ...]] = ()
    """What it asks of a chip beyond sums of weighted inputs: names of `features`."""

    matrices: ClassVar[tuple[str, ...]] = ()
    """Names of its tensors that weigh inputs, a row an output; of several in a tuple, that of the tuple."""

    decay_tensors: ClassVar[tuple[str, ...]] = ()
    """Names of its tensors that are decays."""

    chip: ClassVar[str] = ""
    """The chip whose own arithmetic it has; empty: Pumice's."""

    def __post_init__(self) -> None:
        check_fields(self)
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

    def rate(self, inputs: Sequence[int]) -> int:
        """Events of the program's input per event of the output, from those of the input edges; QUERY if it reads out.

        Raises:
            ProgramError: edges of different rates, or of rates that do not fit the node.
        """
        if len(set(inputs)) > 1:
            listed = ", ".join(f"{edge} (1/{rate})" for edge, rate in zip(self.inputs, inputs, strict=True))
            raise ProgramError(f"node {self.name}: its inputs have different rates: {listed}")
        return (inputs[0] if inputs else 1) * self.stride

    def check_source(self, source: Node) -> None:
        """Check what the edge from ``source`` can carry beyond its format and channels.

        Raises:
            ProgramError: codes that the node has no entry for.
        """

    @property
    def code_range(self) -> tuple[int, int]:
        """The lowest and the highest code that its output can carry."""
        return self.output.min, self.output.max

    @property
    def latches(self) -> bool:
        """Whether its output is the last value that it read, as it was."""
        return False

    @property
    def roles(self) -> tuple[str, ...]:
        """The role of each input edge."""
        return (VALUE,) * len(self.inputs)

    def edge(self, role: str) -> str:
        """The first input edge in this role; empty where there is none."""
        return next((edge for edge, its in zip(self.inputs, self.roles, strict=True) if its == role), "")

    def tensors(self) -> tuple[Tensor, ...]:
        """The codes that it keeps, as they are stored."""
        return ()

    def synapses(self) -> dict[str, np.ndarray]:
        """Matrices whose products drive its states, as a chip's synapses would: W of the input, V of its own spikes."""
        return {}

    @property
    def features(self) -> tuple[str, ...]:
        """What it asks of a chip: its `demands`, and what its own tensors add."""
        return self.demands

    def weight_tensors(self) -> tuple[Tensor, ...]:
        """Tensors of codes (outputs, inputs) that weigh what arrives, as synapses do."""
        return tuple(tensor for tensor in self.tensors() if tensor.name.partition("[")[0] in self.matrices)

    def states(self) -> tuple[State, ...]:
        """What it remembers from event to event; counters of windows are left out."""
        return ()

    @property
    def parameter_bits(self) -> int:
        """Bits of all tensors."""
        return sum(tensor.bits for tensor in self.tensors())

    @property
    def whole_bits(self) -> int:
        """Bits of the tensors that every run needs in full."""
        return sum(tensor.bits for tensor in self.tensors() if tensor.whole)

    @property
    def state_bits(self) -> int:
        """Bits of all states."""
        return sum(state.bits for state in self.states())

    @property
    def state_fracs(self) -> np.ndarray:
        """Fractional bits of each component of the states that are traced beside the output; empty where none is."""
        return np.concatenate([whole_codes(0), *(state.fracs for state in self.states() if state.seen == TRACED)])

    @property
    def detail(self) -> str:
        """Modes and widths in a few words, for descriptions; empty where there is nothing to say."""
        return ""

    @property
    def sum_limit(self) -> int:
        """How many events, or units of weight, its 64-bit sums take; 0 where it has none."""
        return 0

    @property
    def register(self) -> str:
        """``"i32"`` or ``"i64"``: what its largest intermediate needs."""
        return register(max(self.bounds().values(), default=0))

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


def check_decay(node: Node, name: str, what: str, most: int = 0) -> None:
    """The codes ``name`` at ``<name>_frac`` are decays of ``what``, below 1, or up to 1 where ``most`` is 1."""
    codes, frac = getattr(node, name).astype(object), getattr(node, f"{name}_frac")
    node.require(
        frac >= 0 and bool((codes < (1 << frac) + most).all()),
        f"{what} does not decay: {name} has to lie {'at 1 or ' if most else ''}below{'' if most else ' 1'}, and "
        f"{name}_frac at 0 or above",
    )


def sum_limit(format: Format, extra_bits: int = 0) -> int:
    """How many unit weights of the largest code fit the doubled, shifted sum of a rounded division: below 2**62."""
    return (1 << 62) // ((format.magnitude << (extra_bits + 1)) + 1)
