"""The verbs ``sdn generate``, ``train``, ``reduce``, ``evaluate`` and ``import``: plain settings, ``key=value``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import PumiceError
from .words import Words


def generate(arguments: Sequence[str]) -> None:
    """``pumice sdn generate root=FOLDER``; see :func:`pumice.stages.sdn.generate`."""
    from ..stages import sdn
    from ..train.sdn.dataset import GenerateSettings

    words = _words("root", arguments, ("root", *_kinds(GenerateSettings)), "sdn generate")
    sdn.generate(words.needed_path("root"), GenerateSettings(**_given(words, _kinds(GenerateSettings))))


def train(arguments: Sequence[str]) -> None:
    """``pumice sdn train training=FILE [test=FILE] save=FOLDER``; see :func:`pumice.stages.sdn.train`."""
    import torch

    from ..models.sdn.trainable import SDNConfig
    from ..stages import sdn
    from ..train.sdn.fit import TrainSettings

    sizes, kinds = _kinds(SDNConfig), _kinds(TrainSettings)
    del kinds["config"]
    words = _words("", arguments, ("training", "test", "save", "tau", "threads", *sizes, *kinds), "sdn train")
    settings = TrainSettings(config=SDNConfig(**_given(words, sizes)), **_given(words, kinds))
    if threads := words.number("threads"):
        torch.set_num_threads(threads)
    training, save = words.needed_path("training"), words.needed_path("save")
    sdn.train(training, words.path("test"), save, settings, words.real("tau"))


def reduce(arguments: Sequence[str]) -> None:
    """``pumice sdn reduce save=FOLDER [out=FILE] [sweeps=N]``; see :func:`pumice.stages.sdn.reduce`."""
    from ..stages import sdn

    words = _words("save", arguments, ("save", "out", "sweeps"), "sdn reduce")
    sdn.reduce(words.needed_path("save"), words.path("out"), words.number("sweeps") or 0)


def evaluate(arguments: Sequence[str]) -> None:
    """``pumice sdn evaluate FILE`` or ``tau=0.125``; see :func:`pumice.stages.sdn.evaluate`."""
    from ..stages import sdn

    numbers = ("sequences", "steps", "seed", "sweeps")
    words = _words("network", arguments, ("network", "tau", "out", *numbers), "sdn evaluate")
    path, tau = words.path("network"), words.real("tau")
    if path is None and tau is None:
        raise PumiceError(
            f"name a file of pumice sdn reduce, or by tau=... a network that comes with Pumice: {sdn.shipped()}"
        )
    if path is not None and tau is not None:
        raise PumiceError("network and tau are given; a network's file knows its tau, leave tau out")
    given: dict[str, Any] = {name: words.number(name) for name in numbers if name in words.given}
    sdn.evaluate(path if path is not None else float(tau or 0), words.path("out"), **given)


def import_network(arguments: Sequence[str]) -> None:
    """``pumice sdn import FILE tau=0.125 out=FILE``; see :func:`pumice.stages.sdn.import_network`."""
    from ..stages import sdn

    words = _words("source", arguments, ("source", "tau", "out", "sweeps"), "sdn import")
    tau = words.real("tau")
    if tau is None:
        raise PumiceError("tau is missing: a published file does not say it; the network of SpikingSSM has tau=0.125")
    sdn.import_network(words.needed_path("source"), tau, words.needed_path("out"), words.number("sweeps") or 0)


def _words(first: str, arguments: Sequence[str], known: Sequence[str], verb: str) -> Words:
    """Settings, of which ``first`` may come without its key."""
    named = [f"{first}={item}" if first and "=" not in item else item for item in arguments]
    return Words(named, known, verb)


def _kinds(settings: type[Any]) -> dict[str, str]:
    """Name and type, as written, of each field of a dataclass of settings."""
    return {name: str(field.type) for name, field in settings.__dataclass_fields__.items()}


def _given(words: Words, kinds: dict[str, str]) -> dict[str, Any]:
    """The given settings by their fields' types."""
    read = {"int": words.number, "float": words.real, "str": lambda name: words.text(name, "")}
    return {name: read[kind](name) for name, kind in kinds.items() if name in words.given}
