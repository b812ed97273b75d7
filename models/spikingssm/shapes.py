"""The tensors of a classifier, told before any is made."""

from __future__ import annotations

from collections.abc import Iterator

from ..initial import Shape, linear_shapes
from .config import SpikingSSMConfig


def spikingssm_shapes(config: SpikingSSMConfig) -> Iterator[Shape]:
    """Names and shapes of ``SpikingSSM(config).state_dict()``, one after the other as they are asked for."""
    channels = config.d_model
    if config.vocab is not None:
        yield "embedding.weight", (config.vocab, channels)
    else:
        assert config.in_features is not None
        yield from linear_shapes("encoder", config.in_features, channels)
    for block in range(config.layers):
        yield from _block(f"blocks.{block}.", config)
    yield from linear_shapes("decoder", channels, config.num_classes)


def _block(name: str, config: SpikingSSMConfig) -> Iterator[Shape]:
    channels, modes = config.d_model, config.d_state // 2
    if config.norm_placement != "reference":
        for tensor in ("weight", "bias", *(("running_mean", "running_var") if config.norm == "batch" else ())):
            yield f"{name}norm.{tensor}", (channels,)
    kernel = f"{name}layer.kernel."
    for tensor in ("log_dt", "D"):
        yield f"{kernel}{tensor}", (channels,)
    for tensor in ("log_A_real", "A_imag"):
        yield f"{kernel}{tensor}", (channels, modes)
    for tensor, made in (("C", True), ("C_back", config.bidirectional), ("B", config.kernel == "trainable-b")):
        if made:
            yield f"{kernel}{tensor}", (channels, modes, 2)
    yield f"{name}layer.neuron.ln_vth", (channels if config.threshold == "channel" else 1,)
    yield from linear_shapes(f"{name}layer.output", channels, 2 * channels)
