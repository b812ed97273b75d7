"""Layouts of classifiers of events: S5, spiking S5, and S5 with real decays."""

from __future__ import annotations

from collections.abc import Sequence

from ....models.real_s5.config import RealS5Config
from ....models.real_s5.layer import LAYER_NORM_EPSILON as REAL_S5_EPSILON
from ....models.s5.config import S5Config
from ....models.s5.norm import LAYER_NORM_EPSILON as S5_EPSILON
from ....models.spikings5.config import SpikingS5Config
from .layout import Layout

BATCH_EPSILON = 1e-5


def source_of(layout: Layout, vocab: int | None) -> list[str]:
    """Input and embedding, or input and encoder."""
    source = layout.put("input", "Input", [])
    if vocab is None:
        return layout.add("encoder", "Affine", source)
    return layout.add("embedding", "Embedding", source)


def norm_of(layout: Layout, prefix: str, kind: str, sources: Sequence[str], epsilon: float) -> list[str]:
    """The norm ``kind``; ``none`` is none."""
    if kind == "none":
        return list(sources)
    if kind == "batch":
        return layout.add(prefix, "BatchNorm", sources, epsilon=BATCH_EPSILON)
    return layout.add(prefix, "LayerNorm", sources, epsilon=epsilon)


def s5_layout(config: S5Config, names: Sequence[str]) -> Layout:
    """Of an `S5Classifier` or a `SpikingS5`: norm, state space, gate or neurons, and the residual path beside them."""
    layout = Layout(names)
    x = source_of(layout, config.vocab)
    for stage in range(config.stages):
        for index in range(config.layers_per_stage):
            prefix, stride = f"stages.{stage}.layers.{index}", 1 if index else config.stride
            u = norm_of(layout, f"{prefix}.norm", config.norm, x, S5_EPSILON)
            y = layout.add(
                f"{prefix}.ssm",
                "DiagonalSSM",
                u,
                discretization=config.discretization,
                conj_sym=config.conj_sym,
                clip_eigs=config.clip_eigs,
                step_rescale=config.step_rescale,
                stride=stride,
                pooling=config.pooling,
            )
            if isinstance(config, SpikingS5Config):
                z = layout.add(f"{prefix}.neuron", "ThresholdLIF", y, tau=config.tau, inference=config.inference)
                value = layout.add(f"{prefix}.output", "GLU", z)
            else:
                activation = {"gelu": "gelu, tanh form"}.get(config.activation, config.activation)
                value = layout.add(f"{prefix}.gate", "Gate", y, activation=activation)
            changes = stage > 0 and index == 0 and config.expansion > 1
            x = value + (_beside(layout, prefix, x, stride, config.pooling, changes) if config.residual else [])
    return layout.finish(layout.add("decoder", "Affine", layout.put("read_out", "ReadOut", x, head=config.head)))


def real_s5_layout(config: RealS5Config, names: Sequence[str]) -> Layout:
    """Of a `RealS5Classifier`: gated input, state space, pool, norm, gate, and the residual path beside them."""
    layout = Layout(names)
    x = source_of(layout, config.vocab)
    for number in range(config.stages * config.layers_per_stage):
        prefix, first = f"layers.{number}", number % config.layers_per_stage == 0
        stride = config.stride if first else 1
        u = x if config.input_gate is None else layout.add(f"{prefix}.input_gate", "InputGate", x)
        y = layout.add(
            f"{prefix}.ssm",
            "RealSSM",
            u,
            decay=config.decay,
            discretization=config.discretization,
            recurrence=config.recurrence,
            step_rescale=config.step_rescale,
        )
        y = _pooled(layout, f"{prefix}_y", y, stride, config.pooling)
        if config.norm_place == "inside":
            y = norm_of(layout, f"{prefix}.norm", config.norm, y, REAL_S5_EPSILON)
        activation = {"gelu": "gelu, with the error function"}.get(config.activation, config.activation)
        value = layout.add(f"{prefix}.gate", "Gate", y, activation=activation)
        changes = first and number > 0 and config.expansion > 1
        x = value + (_beside(layout, prefix, x, stride, config.pooling, changes) if config.residual else [])
        if config.norm_place == "after":
            x = norm_of(layout, f"{prefix}.norm", config.norm, x, REAL_S5_EPSILON)
    scores = {name: f"attention.{name}" for name in ("weight", "bias") if config.head == "attnpool"}
    return layout.finish(
        layout.add("decoder", "Affine", layout.put("read_out", "ReadOut", x, scores, head=config.head))
    )


def _pooled(layout: Layout, name: str, x: list[str], stride: int, pooling: str) -> list[str]:
    if stride == 1:
        return x
    return layout.put(f"{name}_pool".replace(".", "_"), "EventPool", x, stride=stride, pooling=pooling)


def _beside(layout: Layout, prefix: str, x: list[str], stride: int, pooling: str, changes: bool) -> list[str]:
    """The residual path: pooled, and of another width."""
    x = _pooled(layout, prefix, x, stride, pooling)
    return layout.add(f"{prefix}.skip", "Affine", x) if changes else x
