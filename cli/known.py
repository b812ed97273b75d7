"""The settings that there are, read from the packaged YAML files as text: quick, with their comments."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ..api.presets import preset_names

CONFIGS = Path(__file__).parent.parent / "configs"
PRIMARY = "config"
COMMON = ("logging", "system")
"""Groups that concern how a command runs, and no result."""


@cache
def options(group: str) -> tuple[str, ...]:
    """The options of a configuration group, such as ``s5/tiny`` of ``model``, sorted."""
    return tuple(preset_names(group))


@cache
def primary(name: str = PRIMARY) -> str:
    """The text of a primary configuration."""
    return (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def _values(name: str = PRIMARY) -> dict[str, Any]:
    return yaml.safe_load(primary(name))


def groups() -> set[str]:
    """Pumice's configuration groups: those that configs/config.yaml chooses an option of."""
    return set(defaults())


def own_sections() -> set[str]:
    """The sections that stand in configs/config.yaml itself."""
    return _values().keys() - {"defaults", "hydra"}


def defaults(name: str = PRIMARY) -> dict[str, str]:
    """The option of each group that a primary configuration chooses."""
    entries = [entry for entry in _values(name)["defaults"] if isinstance(entry, dict)]
    return {group: option for entry in entries for group, option in entry.items() if not group.startswith("override ")}


def block(section: str, name: str = PRIMARY) -> str:
    """The lines of a section that stands in a primary configuration itself, with their comments."""
    found = re.search(rf"^{re.escape(section)}:.*\n(?:[ \t].*\n)*", primary(name), re.MULTILINE)
    return found[0] if found else ""


def text_of(group: str, option: str, folder: Path | None = None) -> str:
    """The file of an option, that in ``folder`` (``--config-dir``) first; empty where there is none."""
    for root in (folder, CONFIGS):
        if root is not None and (path := root / group / f"{option}.yaml").is_file():
            return path.read_text(encoding="utf-8")
    return ""


@cache
def keys() -> tuple[str, ...]:
    """Every setting in dotted form, of every option of every group."""
    found: dict[str, None] = {}
    for group in sorted(groups()):
        found[group] = None
        for option in options(group):
            found.update(dict.fromkeys(_dotted(yaml.safe_load(text_of(group, option)) or {}, group)))
    top = {key: _values()[key] for key in _values() if key in own_sections()}
    found.update(dict.fromkeys(_dotted(top, "")))
    return tuple(found)


def _dotted(values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        name = f"{prefix}.{key}" if prefix else str(key)
        yield name
        if isinstance(value, Mapping):
            yield from _dotted(value, name)


def nearest(word: str, names: Sequence[str], most: int = 4) -> list[str]:
    """Those of ``names`` that ``word`` may have been meant for: the same last part, then the same letters."""
    last = {name: re.split(r"[./]", name)[-1] for name in names}
    tail = re.split(r"[./]", word)[-1]
    same = sorted((name for name in names if last[name] == tail), key=len)
    return list(dict.fromkeys([*same, *difflib.get_close_matches(word, names, most, 0.75)]))[:most]


def did_you_mean(word: str, names: Sequence[str]) -> str:
    """`` (did you mean ...?)``, or nothing."""
    found = nearest(word, names)
    return f"; did you mean {' or '.join(found)}?" if found else ""
