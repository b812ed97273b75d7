"""Float models: built from settings, or loaded from what a training wrote."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import PumiceError
from ..quantize.families import model_family
from ..train.weights import load_weights, weights_info
from .data import load_data
from .presets import kind_of, settings_of

WEIGHTS = "weights.safetensors"


def build_model(
    config: str | Mapping[str, Any],
    *,
    num_classes: int,
    vocab: int | None = None,
    in_features: int | None = None,
    seed: int = 0,
    **changes: Any,
) -> nn.Module:
    """A seeded float model, to be trained as any other.

    Args:
        config: a file of configs/model, such as ``"s5/tiny"`` or ``"adlif/shd"``, or a mapping with its keys, of which
            ``family`` says what the model is.
        num_classes: logits C.
        vocab: how many tokens there are, of models that read events by their tokens.
        in_features: width F of the input, of models that read a vector an event or a time step.
        seed: of the initial weights.
        changes: single settings in place of those of ``config``, such as ``d_model=64`` or ``hidden=256``.

    Returns:
        for family ``s5`` an `S5Classifier`, whose ``model(tokens, dt, lengths, pool_dt)`` with tokens int64 (B, L) or
        values (B, L, F), times in ms (B, L) and lengths (B,) gives logits (B, C). For family ``adlif`` an
        `AdLIFNetwork`, whose ``model(inputs, blocks, count)`` with inputs (B, T, F) and the block of each step (B, T)
        gives logits (B, count, C). Families ``spikings5`` and ``spikingssm`` are called as these two. Batches of
        `load_data` and `make_batches` call either by ``batch.apply(model)``.

    Raises:
        PumiceError: an unknown model or setting, one outside its limits, or an input that the model does not read.
    """
    settings = settings_of("model", config, changes)
    family = model_family(settings.get("family"))
    given = {"vocab": vocab, "in_features": in_features}
    inputs = {name: _whole(name, value) for name, value in given.items() if value is not None}
    if len(inputs) != 1 or not set(inputs) <= set(family.inputs):
        had = " and ".join(inputs) or "neither"
        raise PumiceError(
            f"a model of family {family.name} is built with {' or '.join(family.inputs)}, the size of its input, but "
            f"{had} is given; give one of these"
        )
    return family.build(settings, num_classes=_whole("num_classes", num_classes), seed=_whole("seed", seed), **inputs)


def load_model(path: str | Path) -> nn.Module:
    """The trained float model of a run folder, or of its ``weights.safetensors``, in evaluation mode.

    Args:
        path: of either; the file says itself which model it holds, and no data are read.

    Raises:
        PumiceError: there is no such file, or it is damaged or holds no float model.
    """
    path = Path(path)
    source = path / WEIGHTS if path.is_dir() else path
    info = weights_info(source)
    settings, task = info.get("model"), info.get("task")
    if not isinstance(settings, Mapping) or not isinstance(task, Mapping):
        raise PumiceError(
            f"{source} does not say which float model it holds; name the weights that 'pumice train' wrote"
        )
    data = load_data(task)
    model = build_model(settings, num_classes=data.num_classes, **data.model_inputs)
    load_weights(source, model)
    return model.eval()


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise PumiceError(f"{name} has to be a whole number, not {kind_of(value)} ({value!r})") from None
