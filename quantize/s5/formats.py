"""The formats of a QAT model's edges and the exponents of its weights, as derivation and forward pass read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...program.formats import Format
from ..codes import Fracs
from ..output import OutputFormats

LEAST_READ = 8
"""Bits of a state that C reads where its mean over a window would leave fewer."""


@dataclass(frozen=True)
class Geometry:
    """Where a layer lies in the network, and what it is made of.

    Attributes:
        path: module path, ``stages.0.layers.1``.
        stride: events in a pooling window; 1 for none.
        pooling: of the residual stream and of what D reads: "first", "last", "mean" or "time", as `EventPool` has them.
        sampling: of the states: likewise.
        discretization: "async", "dirac" or "zoh".
        pools_gap: whether a later node reads the gaps summed over windows.
        pools_weight: whether a later node reads the timepool weights summed over windows.
        before: the norm in front of the state space: "layer", "batch" or None.
        inside: the norm of C x + D u that its weights cannot hold: "layer" or None.
        after: the norm of the layer's sum: "layer", "batch" or None.
        residual: whether the layer adds to what it reads.
        epsilon: of layer norm.
    """

    path: str
    stride: int
    pooling: str
    sampling: str
    discretization: str
    pools_gap: bool = False
    pools_weight: bool = False
    before: str | None = "layer"
    inside: str | None = None
    after: str | None = None
    residual: bool = True
    epsilon: float = 1e-6

    def pooled(self, format: Format) -> Format:
        """The format of what the layer's pool makes of values of this one."""
        return pooled(format, self.stride) if self.stride > 1 and self.pooling == "mean" else format

    def sampled(self, format: Format) -> Format:
        """The format of what C reads, from that of the state's codes."""
        return pooled(format, self.stride) if self.stride > 1 and self.sampling == "mean" else format

    def read_shift(self, state: int, read: int) -> int:
        """The bits of a state that C does not read, so that the mean over a window has the width ``read``."""
        wider = self.sampled(Format(read, True, 0)).width - read
        return min(state - read + wider, max(state - LEAST_READ, state - read))

    @property
    def drive(self) -> str:
        """The node that the state space reads."""
        return self.node("u" if self.before is None else "norm")

    def node(self, name: str) -> str:
        """The program's name of one of the layer's nodes."""
        return f"{self.path.replace('.', '/')}/{name}"


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
        linear: C x + D u in front of a norm inside, None without one.
        total: the sum in front of a norm after it, None without one.
        gates: of the linear layers of the gate on u, in order.
    """

    input: Format
    u: Format
    out: OutputFormats
    skip: Format | None
    output: Format
    state_width: int
    state_frac: Fracs
    read_shift: int
    linear: Format | None = None
    total: Format | None = None
    gates: tuple[Format, ...] = ()

    @property
    def state(self) -> Format:
        """The state's codes."""
        return Format(self.state_width, True, 0)

    @property
    def read(self) -> Format:
        """What is read of the state's codes."""
        return Format(self.state_width - self.read_shift, True, 0)

    @property
    def sums(self) -> Format:
        """What C x + D u is stored in."""
        return self.out.sums if self.linear is None else self.linear

    def normed(self, geometry: Geometry) -> tuple[Format, Format]:
        """What a batch norm reads and writes, wherever it stands."""
        if geometry.before is not None or self.total is None:
            return self.input, self.u
        return self.total, self.output


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
    """Exponents of one layer's weights: ``input`` (P,), the others (O,).

    Attributes:
        norm: (H,) of a batch norm, None without one.
        gamma: (1,) of a layer norm that holds its own, else None.
        skip, feedthrough: None where there is none.
        gates: of the linear layers of the gate on u, in order.
    """

    norm: Fracs | None
    input: Fracs
    output: Fracs
    feedthrough: Fracs | None
    gate: Fracs
    skip: Fracs | None
    gamma: Fracs | None = None
    gates: tuple[Fracs, ...] = field(default=())

    def by_weight(self) -> dict[str, Fracs]:
        """Those that the layer has, by the name of the weight."""
        names = ("input", "output", "feedthrough", "gate", "skip", "norm", "gamma")
        named = {name: getattr(self, name) for name in names} | dict(
            zip(gate_names(self.gates), self.gates, strict=True)
        )
        return {name: fracs for name, fracs in named.items() if fracs is not None}

    @classmethod
    def from_weights(cls, fracs: Mapping[str, Fracs]) -> LayerFracs:
        """The reverse of `by_weight`."""
        names = [name for name in GATE_NAMES if name in fracs]
        single = {name: fracs.get(name) for name in ("norm", "feedthrough", "skip", "gamma")}
        several = {name: fracs[name] for name in ("input", "output", "gate")}
        return cls(**single, **several, gates=tuple(fracs[name] for name in names))  # type: ignore[arg-type]


GATE_NAMES = ("input_rank", "input_gate")
"""Nodes and weights of the gate on u; the first where it is of low rank alone."""


def gate_names(layers: tuple[object, ...]) -> tuple[str, ...]:
    """The names of so many linear layers of the gate on u."""
    return GATE_NAMES[len(GATE_NAMES) - len(layers) :]


def weight_width(name: str) -> str:
    """The name of the width of a layer's weight."""
    return {"gamma": "norm"}.get(name, "gate" if name in GATE_NAMES else name)


def pooled(format: Format, window: int) -> Format:
    """The format of a mean over a window: the exact sum where the window is a power of two."""
    if window & (window - 1):
        return format
    bits = window.bit_length() - 1
    return Format(format.width + bits, format.signed, format.frac + bits)
