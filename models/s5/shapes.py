"""The tensors of a classifier, told before any is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from ...errors import PumiceError
from ..initial import Shape, linear_shapes
from .config import S5Config

MOST_MODES = 2048
"""Of a layer: its initial values take a matrix of modes by modes."""

Config = TypeVar("Config", bound=S5Config)


def gated_output(name: str, width: int, config: S5Config) -> Iterator[Shape]:
    """What `SequenceLayer.make_output` adds to the layer ``name``."""
    return linear_shapes(f"{name}gate", width, width)


def s5_shapes(config: Config, output: Callable[[str, int, Config], Iterator[Shape]]) -> Iterator[Shape]:
    """Names and shapes of the ``state_dict()`` of an `EventClassifier`, one after the other as they are asked for.

    Args:
        config: its settings.
        output: what its layers' output has: from name, width and settings.

    Raises:
        PumiceError: a layer of more than `MOST_MODES` modes.
    """
    width, modes = config.d_model, config.d_ssm
    if config.vocab is not None:
        yield "embedding.weight", (config.vocab, width)
    else:
        assert config.in_features is not None
        yield from linear_shapes("encoder", config.in_features, width)
    for stage in range(config.stages):
        inputs = width
        if stage > 0:
            width, modes = width * config.expansion, modes * config.expansion
        for layer in range(config.layers_per_stage):
            name = f"stages.{stage}.layers.{layer}."
            yield from _layer(name, width if layer else inputs, width, modes, config)
            yield from output(name, width, config)
    yield from linear_shapes("decoder", width, config.num_classes)


def _layer(name: str, inputs: int, width: int, modes: int, config: S5Config) -> Iterator[Shape]:
    if config.norm != "none":
        for tensor in ("weight", "bias", *(("running_mean", "running_var") if config.norm == "batch" else ())):
            yield f"{name}norm.{tensor}", (inputs,)
    if modes > MOST_MODES:
        raise PumiceError(
            f"d_ssm={config.d_ssm} gives a layer of {modes} modes, the limit is {MOST_MODES:,}; choose fewer"
        )
    kept = modes // 2 if config.conj_sym else modes
    yield f"{name}ssm.Lambda_re", (kept,)
    yield f"{name}ssm.Lambda_im", (kept,)
    yield f"{name}ssm.B", (kept, inputs, 2)
    yield f"{name}ssm.C", (width, kept, 2)
    if config.feedthrough:
        yield f"{name}ssm.D", (width,) if width == inputs else (width, inputs)
    yield f"{name}ssm.log_step", (kept, 1)
    if config.residual and width != inputs:
        yield from linear_shapes(f"{name}skip", inputs, width)
