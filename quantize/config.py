"""The settings of quantization: a width for every kind of tensor, calibration, fine-tuning."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from ..errors import PumiceError
from .checks import require_choice, require_keys, require_number
from .tuning import FineTuning

METHODS = ("max", "mse")
BEST = "best"
"""Both `METHODS`, the better of which is kept."""
ARITHMETICS = ("pumice", "loihi")
Section = TypeVar("Section")

LIMITS = {
    "embedding": (2, 16),
    "input": (2, 16),
    "output": (2, 16),
    "feedthrough": (2, 16),
    "gate": (2, 16),
    "skip": (2, 16),
    "decoder": (2, 16),
    "norm": (4, 16),
    "activation": (4, 12),
    "dense_input": (4, 16),
    "state": (8, 32),
    "read": (4, 16),
    "decay": (4, 15),
    "residual": (8, 16),
    "synapses": (2, 16),
    "constant": (8, 16),
    "potential": (8, 32),
    "adaptation": (8, 32),
}


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Bits of every kind of tensor; which of them a model has follows from its family.

    Attributes:
        embedding: the embedding table, or the weight of the encoder of dense input.
        input: B.
        output: C.
        feedthrough: D.
        gate: the linear layers of the gates.
        skip: the linear layer on the residual path where widths differ.
        decoder: the last linear layer; of adaptive LIF networks that of the leaky integrators.
        norm: multipliers of batch norm; gamma of layer norms that keep it.
        activation: u, y, gelu(y), the gate's value.
        dense_input: input vectors.
        state: the SSM's state, real and imaginary part each.
        read: what C reads of the state: the highest bits.
        decay: the complements a - 1 of decays.
        residual: the residual stream and the read-out; the potentials of leaky integrators.
        synapses: W and V of neurons.
        constant: decays and factors of neurons and of leaky integrators.
        potential: u of neurons.
        adaptation: w of neurons.

    Raises:
        PumiceError: a width outside its limits.
    """

    embedding: int = 8
    input: int = 8
    output: int = 8
    feedthrough: int = 8
    gate: int = 8
    skip: int = 8
    decoder: int = 12
    norm: int = 12
    activation: int = 8
    dense_input: int = 8
    state: int = 16
    read: int = 16
    decay: int = 15
    residual: int = 16
    synapses: int = 8
    constant: int = 16
    potential: int = 16
    adaptation: int = 16

    def __post_init__(self) -> None:
        for name, (low, high) in LIMITS.items():
            width = getattr(self, name)
            if isinstance(width, bool) or not isinstance(width, int) or not low <= width <= high:
                raise PumiceError(f"quantize: the width {name}={width} is impossible; choose {low} to {high} bits")
        if self.read > self.state:
            raise PumiceError(
                f"quantize: C cannot read {self.read} bits of a state of {self.state}; "
                "lower the width read, or raise state"
            )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How ranges are found.

    Attributes:
        method: of activations and weights: "max" covers the largest value, "mse" minimises the squared error, "best"
            tries both and keeps the one whose logits on validation are nearer to the float model's.
        headroom: bits kept free above the largest state and residual seen.
        samples: training samples looked at, every event of each; None for all.
        search: training samples by whose logits single exponents are then searched (`search_exponents`); None for none.
        bias: training samples whose logits' mean error is taken out of the decoder's bias, of models that have one,
            calibrated and fine-tuned ones (`correct_bias`); None for none.
        equalize: of state spaces whose B and C are matrices, whether modes are counted in units that suit their codes
            (`s5/equalization.py`); None: they are not.
    """

    method: str = BEST
    headroom: int = 1
    samples: int | None = None
    search: int | None = None
    bias: int | None = None
    equalize: bool | None = None

    def __post_init__(self) -> None:
        require_choice("calibration.method", self.method, (*METHODS, BEST))
        require_number("calibration.headroom", self.headroom, 0, 4, whole=True)
        if self.samples is not None:
            require_number("calibration.samples", self.samples, 1, 10**9, whole=True)
        if self.search is not None:
            require_number("calibration.search", self.search, 0, 10**6, whole=True)
        if self.bias is not None:
            require_number("calibration.bias", self.bias, 0, 10**6, whole=True)
        if self.equalize is not None and not isinstance(self.equalize, bool):
            raise PumiceError(f"quantize.calibration.equalize={self.equalize!r} is no switch; use true or false")

    @property
    def methods(self) -> tuple[str, ...]:
        """Those that are tried."""
        return METHODS if self.method == BEST else (self.method,)


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Settings of `convert` (section ``quantize`` of the configuration).

    Attributes:
        name: of the preset.
        arithmetic: of the program's nodes, "pumice", or "loihi" for networks of LIF neurons as Loihi computes them.
        widths: bits of every kind of tensor.
        layers: other widths for single layers, by path: ``{"stages.0.layers.1": {"state": 20}}``,
            ``{"cells.0": {"synapses": 4}}``.
        tick_ms: length of a tick; None for that of the task, or 0.5 where the task has exact times.
        pool_tick_us: unit of the weights of timepool, microseconds.
        max_dead_zone: share of a state's range that the dead zone of its mode may take.
        shared_param: with arithmetic "loihi", whether a layer's neurons share one decay and one threshold, as lava-dl
            calls it; None and False: each has its own.
        calibration: how ranges are found.
        qat: fine-tuning.
    """

    name: str = "w8a8"
    arithmetic: str = ARITHMETICS[0]
    widths: Widths = field(default_factory=Widths)
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    tick_ms: float | None = None
    pool_tick_us: int = 1
    max_dead_zone: float = 0.1
    shared_param: bool | None = None
    calibration: Calibration = field(default_factory=Calibration)
    qat: FineTuning = field(default_factory=FineTuning)

    def __post_init__(self) -> None:
        if self.arithmetic not in ARITHMETICS:
            known = ", ".join(ARITHMETICS)
            raise PumiceError(f"quantize.arithmetic={self.arithmetic} is unknown; use one of {known}")
        if self.tick_ms is not None:
            require_number("tick_ms", self.tick_ms, 0.001, 60000.0)
            if round(self.tick_ms * 1000) != self.tick_ms * 1000:
                raise PumiceError(f"quantize.tick_ms={self.tick_ms} is no whole number of microseconds; round it")
        require_number("pool_tick_us", self.pool_tick_us, 1, 10**6, whole=True)
        require_number("max_dead_zone", self.max_dead_zone, 0.0, 1.0)
        if self.shared_param is not None:
            if not isinstance(self.shared_param, bool):
                raise PumiceError(f"quantize.shared_param={self.shared_param} has to be true, false or null")
            if self.arithmetic != "loihi":
                raise PumiceError("quantize.shared_param is for quantize.arithmetic=loihi alone; leave it out")
        for path in self.layers:
            self.layer(path)

    def layer(self, path: str) -> Widths:
        """The widths of the layer at ``path``, such as ``stages.0.layers.1``."""
        changed = self.layers.get(path, {})
        require_keys(changed, LIMITS, f"layers.{path}")
        return replace(self.widths, **changed)

    def check_layers(self, known: Mapping[str, Collection[str]]) -> None:
        """Refuse widths of layers that a model does not have, or that these layers do not have.

        Args:
            known: the names of the widths of each layer, by path.

        Raises:
            PumiceError: names the layer or the width, and those that there are.
        """
        for path, changed in self.layers.items():
            if path not in known:
                raise PumiceError(
                    f"quantize.layers names {path}, which the model lacks; its layers are {', '.join(known)}"
                )
            for name in changed:
                if name not in known[path]:
                    raise PumiceError(
                        f"quantize.layers.{path} names the width {name}, which this layer does not have; "
                        f"its widths are {', '.join(sorted(known[path]))}"
                    )

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> QuantizationConfig:
        """Build the settings from plain data.

        Raises:
            PumiceError: an unknown key or a value outside its limits.
        """
        require_keys(settings, {item.name for item in fields(cls)}, "")
        values = dict(settings)
        for name, kind in (("widths", Widths), ("calibration", Calibration), ("qat", FineTuning)):
            if name in values:
                values[name] = _section(kind, values[name], name)
        if not isinstance(values.get("layers", {}), Mapping):
            raise PumiceError(f"quantize.layers={values['layers']} is no mapping from layers to widths")
        return cls(**values)


def _section(kind: type[Section], settings: Any, name: str) -> Section:
    require_keys(settings, {item.name for item in fields(kind)}, name)  # type: ignore[arg-type]
    return kind(**settings)
