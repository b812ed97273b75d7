"""The formats of a QAT model's edges and the exponents of its weights, as derivation and forward pass read them."""

from __future__ import annotations

from dataclasses import dataclass

from ...program.formats import Format
from ..codes import Fracs
from ..output import OutputFormats


@dataclass(frozen=True, eq=False)
class LayerFormats:
    """Edges of one layer.

    Attributes:
        input: the residual stream it reads.
        u: what the state space reads.
        out: behind the state space.
        skip: the residual after the skip path's linear layer, None where the widths agree.
        output: the residual stream it writes.
        state_width: bits of the state.
        state_frac: (P,), fractional bits by mode.
        read_shift: the state's bits that C does not read.
    """

    input: Format
    u: Format
    out: OutputFormats
    skip: Format | None
    output: Format
    state_width: int
    state_frac: Fracs
    read_shift: int

    @property
    def state(self) -> Format:
        """The state's codes."""
        return Format(self.state_width, True, 0)

    @property
    def read(self) -> Format:
        """What C reads of the state's codes."""
        return Format(self.state_width - self.read_shift, True, 0)


@dataclass(frozen=True, eq=False)
class NetworkFormats:
    """Edges outside the layers.

    Attributes:
        input: quantized dense input; None for tokens.
        embedded: the residual stream before the first layer.
        layers: by layer, all stages in a row.
        readout: the read-out's value.
    """

    input: Format | None
    embedded: Format
    layers: tuple[LayerFormats, ...]
    readout: Format


@dataclass(frozen=True, eq=False)
class LayerFracs:
    """Exponents of one layer's weights: ``input`` (P,), the others (O,); multiplier (H,) of a batch norm."""

    multiplier: Fracs | None
    input: Fracs
    output: Fracs
    feedthrough: Fracs
    gate: Fracs
    skip: Fracs | None

    def by_weight(self) -> dict[str, Fracs]:
        """Those that the layer has, by the name of the weight's width."""
        named = {name: getattr(self, name) for name in ("input", "output", "feedthrough", "gate", "skip")}
        return {name: fracs for name, fracs in (named | {"norm": self.multiplier}).items() if fracs is not None}


@dataclass(frozen=True)
class Geometry:
    """Where a layer lies in the network.

    Attributes:
        path: module path, ``stages.0.layers.1``.
        stride: events in a pooling window; 1 for none.
        pooling: "last", "avgpool" or "timepool".
        discretization: "async", "dirac" or "zoh".
        pools_gap: whether a later node reads the gaps summed over windows.
        pools_weight: whether a later node reads the timepool weights summed over windows.
    """

    path: str
    stride: int
    pooling: str
    discretization: str
    pools_gap: bool
    pools_weight: bool

    def pooled(self, format: Format) -> Format:
        """The format of what the layer's pool makes of values of this one."""
        return pooled(format, self.stride) if self.pooling == "avgpool" else format

    def node(self, name: str) -> str:
        """The program's name of one of the layer's nodes."""
        return f"{self.path.replace('.', '/')}/{name}"


def pooled(format: Format, window: int) -> Format:
    """The format of a mean over a window: the exact sum where the window is a power of two."""
    if window & (window - 1):
        return format
    bits = window.bit_length() - 1
    return Format(format.width + bits, format.signed, format.frac + bits)
