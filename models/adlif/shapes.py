"""The tensors of a network, told before any is made."""

from __future__ import annotations

from collections.abc import Iterator

from ..initial import Shape, linear_shapes
from .config import AdLIFConfig
from .time_constant import Bounds, is_trained


def adlif_shapes(config: AdLIFConfig) -> Iterator[Shape]:
    """Names and shapes of ``AdLIFNetwork(config).state_dict()``, one after the other as they are asked for."""
    for layer in range(config.layers):
        inputs = config.width(layer - 1) if layer else config.in_features
        yield from (_lstm if config.cell == "lstm" else _cell)(f"cells.{layer}.", inputs, config, config.width(layer))
    yield from linear_shapes("readout.linear", config.width(-1), config.num_classes)
    yield from _time_constant("readout.tau", config.num_classes, config.tau_out)


def _cell(name: str, inputs: int, config: AdLIFConfig, hidden: int) -> Iterator[Shape]:
    yield from linear_shapes(f"{name}input", inputs, hidden)
    if config.recurrent:
        yield f"{name}recurrent", (hidden, hidden)
    yield from _time_constant(f"{name}tau_u", hidden, config.tau_u)
    if config.cell == "cuba-lif":
        yield from _time_constant(f"{name}tau_i", hidden, config.tau_i)
    elif config.cell != "lif":
        yield from _time_constant(f"{name}tau_w", hidden, config.tau_w)
        yield f"{name}a", (hidden,)
        yield f"{name}b", (hidden,)


def _lstm(name: str, inputs: int, config: AdLIFConfig, hidden: int) -> Iterator[Shape]:
    gates = 4 * hidden
    yield f"{name}lstm.weight_ih_l0", (gates, inputs)
    yield f"{name}lstm.weight_hh_l0", (gates, hidden)
    yield f"{name}lstm.bias_ih_l0", (gates,)
    yield f"{name}lstm.bias_hh_l0", (gates,)


def _time_constant(name: str, count: int, bounds: Bounds) -> Iterator[Shape]:
    if is_trained(bounds):
        yield f"{name}.p", (count,)
