"""What a run folder may bring back of its own: settings in Pumice's sections, as data.

A run folder may come from anybody. Hydra's overrides do more than set values: ``hydra.*`` and ``_target_`` name Python
code, ``${oc.env:...}`` reads the environment, ``@`` moves a section elsewhere, and a folder of configurations can hold
all of that. Those are for the command line alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from .known import CONFIGS, groups, own_sections

OF_ONE_COMMAND = ("run_dir", "redo", "shard")
"""Settings that a run folder never brings back."""

_NAME = re.compile(r"[^\W_][\w.-]*")
_OPTION = re.compile(r"[\w-]+(/[\w-]+)*")
_REFERENCE = re.compile(r"\$\{([A-Za-z]\w*)(\.\w+)*\}")
"""To another setting, without a resolver."""


def sections() -> set[str]:
    """Pumice's own sections, the groups among them: what stands in configs/config.yaml."""
    return groups() | (own_sections() - {*OF_ONE_COMMAND})


def check_replayed(override: Any, source: Path) -> None:
    """Refuse an override that ``source`` remembers unless it sets a value in one of Pumice's own sections.

    Raises:
        PumiceError: naming the override and what is wrong with it.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        value = None if parsed.is_delete() else parsed.value()
    except (HydraException, TypeError, AttributeError) as error:
        raise PumiceError(f"{source} is damaged: {override!r:.99} is no setting; choose another run_dir") from error
    reason = _reason(parsed.key_or_group, parsed.package, value)
    if reason:
        raise PumiceError(
            f"{source} asks for {override!r:.99}: {reason}; a run folder sets values in Pumice's own sections alone, "
            "give anything else on the command line"
        )


def _reason(key: str, package: str | None, value: Any) -> str | None:
    names = re.split(r"[./]", key)
    if names[0] not in sections():
        return f"'{names[0]}' is no section of Pumice's"
    if package is not None:
        return "it moves a section"
    if "." not in key and names[0] in groups() and not isinstance(value, (dict, type(None))):
        options = value if isinstance(value, list) else [value]
        if not all(_OPTION.fullmatch(str(option)) for option in options):
            return f"'{names[0]}' has options by name"
    for name, entry in (*((name, None) for name in names), *_entries(value)):
        if not _NAME.fullmatch(str(name)):
            return f"'{name}' is no name of a setting"
        if isinstance(entry, str):
            references = {found[1] for found in _REFERENCE.finditer(entry)}
            if "${" in _REFERENCE.sub("", entry) or not references <= sections():
                return "it reads more than Pumice's own settings"
        elif not isinstance(entry, (dict, list, bool, int, float, type(None))):
            return "it is no single value"
    return None


def _entries(value: Any, name: Any = "value") -> Iterator[tuple[Any, Any]]:
    """``value`` and all that it holds, each with its key; what a list holds has the list's."""
    yield name, value
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _entries(entry, key)
    elif isinstance(value, list):
        for entry in value:
            yield from _entries(entry, name)


def as_values(overrides: Sequence[str], config_dir: str | None, config: Mapping[str, Any]) -> list[str]:
    """``overrides`` with the values themselves where an option comes from the user's folder of configurations.

    So the run folder knows its settings without that folder, which could hold anything by then.
    """
    if config_dir is None:
        return list(overrides)
    kept: list[str] = []
    own = {name for name in groups() if any(_is_own_option(item, name, Path(config_dir)) for item in overrides)}
    for item in overrides:
        if re.split(r"[.=@/]", item.lstrip("+~"), maxsplit=1)[0] not in own:
            kept.append(item)
    for name in sorted(own):
        kept += [f"~{name}", f"+{name}={literal(config[name])}"]
    return kept


def _is_own_option(override: str, group: str, config_dir: Path) -> bool:
    key, _, option = override.lstrip("+").partition("=")
    file = f"{group}/{option}.yaml"
    return key == group and (config_dir / file).is_file() and not (CONFIGS / file).is_file()


def quoted(value: str) -> str:
    """``value`` as a quoted string of Hydra's override grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(value, Quote.single).with_quotes()


def literal(value: Any) -> str:
    """Plain data in Hydra's override grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{literal(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(literal, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
