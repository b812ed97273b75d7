"""Float models: built from settings, or loaded from what a training wrote."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod
from operator import index
from pathlib import Path
from typing import Any

from torch import from_numpy, nn

from ..errors import PumiceError
from ..export.nir.imported import read_imported
from ..models.initial import Shape
from ..quantize.families import model_family
from ..train.weights import Weights, read_weights
from .data import load_data
from .presets import kind_of, settings_of, usable

WEIGHTS = "weights.safetensors"
MOST_BYTES, MOST_TENSORS = 1 << 27, 1 << 14
"""Of a model: a checkpoint, with two moments of each weight, has to stay below what is read (`train.checkpoint`)."""


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
    return built(
        settings_of("model", config, changes),
        {"vocab": vocab, "in_features": in_features, "num_classes": num_classes},
        seed=_whole("seed", seed),
    )


def build_loaded(weights: Weights, settings: Mapping[str, Any], **sizes: int) -> nn.Module:
    """The model of ``settings`` that ``weights`` belong to, with these; of others nothing is built.

    Args:
        weights: of a file.
        settings: of section ``model``.
        sizes: num_classes, and vocab or in_features.

    Raises:
        PumiceError: as of `build_model`, or weights of another model.
    """
    model = built(settings_of("model", settings, {}), sizes, weights=weights)
    weights.load_into(model)
    return model


def built(
    settings: Mapping[str, Any],
    sizes: Mapping[str, int | None],
    *,
    seed: int | None = None,
    weights: Weights | None = None,
) -> nn.Module:
    """The model of ``settings``, initial values of ``seed`` or zeros; sizes are looked at before anything is made.

    Args:
        settings: of section ``model``.
        sizes: num_classes, and vocab or in_features.
        seed: of the initial values.
        weights: that have to fit it.

    Raises:
        PumiceError: as of `build_model`; a model that is too large, or that ``weights`` do not belong to.
    """
    family = model_family(settings.get("family"))
    given = {name: _whole(name, value) for name, value in sizes.items() if value is not None}
    inputs = {name: value for name, value in given.items() if name != "num_classes"}
    if len(inputs) != 1 or not set(inputs) <= set(family.inputs):
        had = " and ".join(inputs) or "neither"
        raise PumiceError(
            f"a model of family {family.name} is built with {' or '.join(family.inputs)}, the size of its input, but "
            f"{had} is given; give one of these"
        )
    with usable("model"):
        shapes = limited(family.shapes(settings, **given))
        if weights is not None:
            weights.check_shapes(shapes)
        for _ in shapes:
            pass
        return family.build(settings, seed=seed, **given)


def limited(shapes: Iterable[Shape]) -> Iterator[Shape]:
    """The same shapes, up to `MOST_TENSORS` and `MOST_BYTES` of them.

    Raises:
        PumiceError: there are more.
    """
    size = 0
    for number, (name, shape) in enumerate(shapes, start=1):
        size += 4 * prod(shape)
        if size > MOST_BYTES or number > MOST_TENSORS:
            raise PumiceError(
                f"the model has more than {MOST_BYTES >> 20} MiB of weights or {MOST_TENSORS:,} tensors, from {name} "
                "on; choose fewer or narrower layers"
            )
        yield name, shape


def load_model(path: str | Path) -> nn.Module:
    """The trained float model of a run folder, or of its ``weights.safetensors``, in evaluation mode.

    Args:
        path: of either; the file says itself which model it holds, and no data are read.

    Raises:
        PumiceError: there is no such file, or it is damaged or holds no float model.
    """
    path = Path(path)
    source = path / WEIGHTS if path.is_dir() else path
    weights = read_weights(source)
    settings, task = weights.info.get("model"), weights.info.get("task")
    if not isinstance(settings, Mapping) or not isinstance(task, Mapping):
        raise PumiceError(
            f"{source} does not say which float model it holds; name the weights that 'pumice train' wrote"
        )
    data = load_data(task)
    return build_loaded(weights, settings, num_classes=data.num_classes, **data.model_inputs).eval()


def import_nir(
    path: str | Path,
    *,
    reset: str | None = None,
    dt: float | None = None,
    writer: str | None = None,
    refractory: int = 0,
) -> nn.Module:
    """The network in a NIR file as a float model, in evaluation mode: of family adlif, or of that which Pumice wrote.

    Args:
        path: a chain of Affine, Linear, Flatten and LIF, CubaLIF or IF nodes, with or without recurrent products, an LI
            or I at the end or none: the potentials of a network that ends in spikes are these spikes.
        reset: what a spike does, which NIR files do not record: "zero" or "subtract", as the writer times them, or
            "late-zero", "late-subtract"; if not given, the writer's default.
        dt: seconds of a step, by which time constants become decays; 1e-4 if not given.
        writer: "snntorch" or "other"; if not given, told by the file's values.
        refractory: steps after a spike in which neurons were held, which NIR files do not record either.

    Raises:
        PumiceError: a file that cannot be read, or that holds what Pumice cannot hold; names the node.
    """
    found = read_imported(path, reset, dt, writer, refractory)
    settings = {"family": "adlif", **found.settings}
    sizes = {name: settings.pop(name, None) for name in ("num_classes", "in_features", "vocab")}
    model = built(settings, sizes, seed=None)
    model.load_state_dict({name: from_numpy(values) for name, values in found.state.items()})
    return model.eval()


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return index(value)
    except TypeError:
        raise PumiceError(f"{name} has to be a whole number, not {kind_of(value)} ({value!r})") from None
