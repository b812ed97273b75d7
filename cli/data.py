"""The verbs ``data build`` and ``data show``."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf

from ..errors import PumiceError


def build(config: DictConfig) -> None:
    """Synthesise the spoken-digits set; see :func:`pumice.train.data.spoken_digits.build.build_spoken_digits`."""
    from ..train.data.spoken_digits.build import build_spoken_digits

    settings = _plain(config, ("train", "test", "seed"))
    build_spoken_digits(settings.pop("out"), **settings)


def show(config: DictConfig) -> None:
    """Draw rasters and print statistics; see :func:`pumice.train.data.show.show`."""
    from ..train.data.show import show as draw
    from ..train.data.task import task_config

    settings = _plain(config, ("samples", "seed"))
    if (kind := settings["task"].get("kind")) is not None:
        raise PumiceError(f"'data show' draws events, and task.kind={kind} has none; choose for example task=shd")
    draw(task_config(settings["task"]), settings["out"], settings["samples"], settings["seed"])


def _plain(config: DictConfig, whole_numbers: tuple[str, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    for name in whole_numbers:
        if type(settings[name]) is not int:
            raise PumiceError(f"{name}={settings[name]} has to be a whole number")
    return settings
