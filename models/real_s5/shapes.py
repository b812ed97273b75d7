"""The tensors of a classifier, told before any is made."""

from __future__ import annotations

from collections.abc import Iterator

from ..initial import Shape, linear_shapes
from .config import RealS5Config


def real_s5_shapes(config: RealS5Config) -> Iterator[Shape]:
    """Names and shapes of ``RealS5Classifier(config).state_dict()``, one after the other as they are asked for."""
    width, modes = config.d_model, config.d_ssm
    if config.vocab is not None:
        yield "embedding.weight", (config.vocab, width)
    else:
        assert config.in_features is not None
        yield from linear_shapes("encoder", config.in_features, width)
    for index in range(config.stages * config.layers_per_stage):
        inputs = width
        if index >= config.layers_per_stage and index % config.layers_per_stage == 0:
            width, modes = width * config.expansion, modes * config.expansion
        yield from _layer(f"layers.{index}.", inputs, width, modes, config)
    if config.head == "attnpool":
        yield from linear_shapes("attention", width, 1)
    yield from linear_shapes("decoder", width, config.num_classes)


def _layer(name: str, inputs: int, width: int, modes: int, config: RealS5Config) -> Iterator[Shape]:
    rates = 1 if config.decay == "shared" else modes
    yield f"{name}ssm.Lambda_raw", (rates,)
    yield f"{name}ssm.log_step", (rates,)
    yield f"{name}ssm.B", (modes, inputs)
    yield f"{name}ssm.C", (width, modes)
    if config.feedthrough:
        yield f"{name}ssm.D", (width,) if width == inputs else (width, inputs)
    if config.input_gate == 0:
        yield from linear_shapes(f"{name}input_gate", inputs, inputs)
    elif config.input_gate is not None:
        yield from linear_shapes(f"{name}input_gate.0", inputs, config.input_gate)
        yield from linear_shapes(f"{name}input_gate.1", config.input_gate, inputs)
    if config.norm != "none":
        for tensor in ("weight", "bias", *(("running_mean", "running_var") if config.norm == "batch" else ())):
            yield f"{name}norm.{tensor}", (width,)
    yield from linear_shapes(f"{name}gate", width, width)
    if config.residual and inputs != width:
        yield from linear_shapes(f"{name}skip", inputs, width)
