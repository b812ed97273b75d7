"""Overrides of the command line: those a run folder remembers come first, new ones win."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..api.presets import preset, preset_names
from ..errors import PumiceError
from ..files import atomic_path, check_inside, read_text
from ..records import OVERRIDES
from .known import defaults
from .replay import OF_ONE_COMMAND, as_values, check_replayed, quoted

OPEN = ("quantize.layers", "task.unwrap_times", "task.most_bins", "search.chip_limits")
"""Keys that configurations need not have, or empty mappings, which Hydra takes behind ``++`` alone."""
VALUE_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp", "--package", "-p", "--cfg", "-c")


def key_of(override: str) -> str:
    """The key that an override is about: ``+training.epochs=3`` -> ``training.epochs``."""
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def open_mappings(arguments: list[str]) -> list[str]:
    """Let ``quantize.layers={...}`` bring keys that the configuration does not have."""
    return [f"++{item}" if item.partition("=")[0] in OPEN else item for item in arguments]


def split_arguments(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Separate (flags with their values, overrides)."""
    flags, overrides, takes_value = [], [], False
    for argument in arguments:
        if takes_value or argument.startswith("-"):
            flags.append(argument)
            takes_value = not takes_value and argument in VALUE_FLAGS
        else:
            overrides.append(argument)
    return flags, overrides


def save_overrides(folder: Path, overrides: list[str], config_dir: str | None, config: Mapping[str, Any]) -> None:
    """Remember the settings of a run folder, without those that concern one command only.

    Args:
        folder: of the run.
        overrides: as given to Hydra.
        config_dir: the user's folder of configurations; values from there are kept, the folder is not.
        config: the resolved configuration, plain data.
    """
    kept = [item for item in overrides if key_of(item) not in OF_ONE_COMMAND]
    kept = as_values(kept, config_dir, config)
    with atomic_path(folder / OVERRIDES) as path:
        path.write_text(yaml.safe_dump({"config_dir": None, "overrides": kept}), encoding="utf-8")


def with_saved_overrides(arguments: list[str]) -> list[str]:
    """Put the overrides that the folder named by ``run_dir=...`` remembers before the given ones.

    Raises:
        PumiceError: the folder's record cannot be read, or asks for more than values of Pumice's own settings.
    """
    flags, overrides = split_arguments(arguments)
    run_dirs = [item.partition("=")[2].strip("'\"") for item in overrides if key_of(item) == "run_dir"]
    if not run_dirs or not (source := Path(run_dirs[-1]) / OVERRIDES).exists():
        return arguments
    check_inside(source.parent)
    try:
        saved = yaml.safe_load(read_text(source))
        saved_overrides, config_dir = list(saved["overrides"]), saved["config_dir"]
        new_keys = {key_of(item) for item in overrides}
        remembered = [item for item in saved_overrides if key_of(item) not in new_keys]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise PumiceError(f"{source} is damaged and cannot be read; choose another run_dir") from error
    has_config_dir = any(flag.partition("=")[0] in ("--config-dir", "-cd") for flag in flags)
    if config_dir and not has_config_dir:
        raise PumiceError(
            f"{source} asks for the configurations in {config_dir}, which can name any code; give --config-dir "
            f"{config_dir} if they are yours"
        )
    for item in remembered:
        check_replayed(item, source)
    return [*flags, *remembered, *overrides]


def with_recipe(arguments: list[str]) -> list[str]:
    """Choose the recipe of training that the chosen model names, where it names one and none is chosen."""
    _, overrides = split_arguments(arguments)
    chosen = {key_of(item): item.partition("=")[2] for item in overrides}
    if "training" in chosen or chosen.get("model") not in preset_names("model"):
        return arguments
    recipe = preset("model", chosen["model"]).get("recipe")
    return arguments if recipe is None else [*arguments, f"training={recipe}"]


def with_shorter_warmup(arguments: list[str]) -> list[str]:
    """Where fewer epochs are asked for than the recipe warms up for, warm up for the same share of them."""
    _, overrides = split_arguments(arguments)
    chosen = {key_of(item): item.partition("=")[2] for item in overrides}
    recipe, epochs = chosen.get("training", defaults()["training"]), chosen.get("training.epochs", "")
    if "training.warmup_epochs" in chosen or not epochs.isdigit() or recipe not in preset_names("training"):
        return arguments
    settings = preset("training", recipe)
    warmup, planned = settings.get("warmup_epochs", 0), settings.get("epochs", 0)
    if not planned or warmup <= int(epochs):
        return arguments
    return [*arguments, f"training.warmup_epochs={warmup * int(epochs) / planned:g}"]


def multirun_arguments(arguments: list[str]) -> list[str]:
    """Name the folder of each job of a multirun by the settings that vary; the default parent is runs/multirun.

    Raises:
        PumiceError: an override cannot be parsed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    _, overrides = split_arguments(arguments)
    try:
        parsed = OverridesParser.create().parse_overrides(overrides)
    except HydraException as error:
        raise PumiceError(f"{str(error).splitlines()[0]}; see the examples of pumice --help") from error
    constant = [quoted(item.key_or_group) for item in parsed if not item.is_sweep_override()]
    parent = [] if "run_dir" in map(key_of, overrides) else ["run_dir=runs/multirun"]
    return [*arguments, *parent, f"hydra.job.config.override_dirname.exclude_keys=[{','.join(['run_dir', *constant])}]"]
