"""The formats of a QAT model's edges and the exponents of its weights, as derivation and forward pass read them."""

from __future__ import annotations

from dataclasses import dataclass

from ...program.formats import Format
from ..codes import Fracs
from ..spiking_output import SpikingFormats


@dataclass(frozen=True, eq=False)
class BlockFormats:
    """Edges of one block.

    Attributes:
        input: the residual stream it reads.
        u: what the state space reads; the residual stream itself where no norm stands before it.
        out: behind the state space, from the neurons' current on.
        total: the residual stream before a norm that stands behind it, None without one.
        output: the residual stream it writes.
        state_width: bits of the state.
        state_frac: (M, H), fractional bits by mode and channel.
    """

    input: Format
    u: Format
    out: SpikingFormats
    total: Format | None
    output: Format
    state_width: int
    state_frac: Fracs

    @property
    def state(self) -> Format:
        """The state's codes."""
        return Format(self.state_width, True, 0)

    @property
    def normed(self) -> tuple[Format, Format]:
        """What the block's norm reads and writes, wherever it stands."""
        return (self.input, self.u) if self.total is None else (self.total, self.output)


@dataclass(frozen=True, eq=False)
class NetworkFormats:
    """Edges outside the blocks: the input (None: tokens), the residual stream before the first block, the read-out."""

    input: Format | None
    embedded: Format
    blocks: tuple[BlockFormats, ...]
    readout: Format


@dataclass(frozen=True, eq=False)
class BlockFracs:
    """Exponents of one block's weights: (H,) each, ``gate`` (2 H,); ``norm`` (1,) of a layer norm, None without."""

    norm: Fracs | None
    output: Fracs
    feedthrough: Fracs
    gate: Fracs

    def by_weight(self) -> dict[str, Fracs]:
        """Those that the block has, by the name of the weight's width."""
        named = {name: getattr(self, name) for name in ("norm", "output", "feedthrough", "gate")}
        return {name: fracs for name, fracs in named.items() if fracs is not None}


def node_name(number: int, name: str) -> str:
    """The program's name of a node of a block."""
    return f"blocks/{number}/{name}"


def block_path(number: int) -> str:
    """The path of a block in the float model."""
    return f"blocks.{number}"
