"""The packaged settings (configs/), by the names that the command line gives them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, cast

from omegaconf import OmegaConf

from ..errors import PumiceError
from ..program import ProgramError


def preset(group: str, name: str) -> dict[str, Any]:
    """The values of ``configs/<group>/<name>.yaml``, such as ``preset("model", "s5/tiny")``.

    Raises:
        PumiceError: there is no such file; names those that there are.
    """
    names = preset_names(group)
    if name not in names:
        raise PumiceError(f"there is no {group} '{name}'; choose one of {', '.join(names)}")
    text = resources.files("pumice.configs").joinpath(group, f"{name}.yaml").read_text(encoding="utf-8")
    return cast(dict[str, Any], OmegaConf.to_container(OmegaConf.create(text)))


def preset_names(group: str) -> list[str]:
    """The names of a group's files, sorted."""
    return sorted(_names(resources.files("pumice.configs").joinpath(group), ""))


def settings_of(group: str, given: str | Mapping[str, Any], changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Settings by the name of a packaged file, or as they are; ``changes`` replace single values.

    Raises:
        PumiceError: an unknown name, or something else than a name or a mapping.
    """
    if isinstance(given, str):
        values = preset(group, given)
    elif isinstance(given, Mapping):
        values = dict(given)
    else:
        raise PumiceError(f"a {group} is a name from configs/{group} or a mapping of settings, not {kind_of(given)}")
    return merged(values, changes or {})


@contextlib.contextmanager
def usable(what: str) -> Iterator[None]:
    """Say that settings are of another kind than what reads them takes: they may come from any file.

    Raises:
        PumiceError: naming ``what`` has them, and what went wrong.
    """
    try:
        yield
    except ProgramError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise PumiceError(
            f"a setting of the {what} is of another kind than it takes ({type(error).__name__}: {reason}); correct it"
        ) from error


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``changes``; mappings are merged key by key."""
    result = dict(base)
    for key, value in changes.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


def _names(folder: Any, prefix: str) -> list[str]:
    found: list[str] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _names(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            found.append(prefix + entry.name.removesuffix(".yaml"))
    return found


def kind_of(given: object) -> str:
    """What something is, for a sentence: ``a list``, ``an int``, ``None``."""
    name = type(given).__name__
    return "None" if given is None else f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
