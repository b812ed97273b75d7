"""Arguments as a shell user types them, and as Hydra reads them: flags anywhere, any path, any letters."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from .overrides import key_of, split_arguments
from .replay import quoted

PATHS = ("run_dir", "task.root", "out")
"""Settings that are a file or folder; their values are never anything else of Hydra's grammar."""
INFO = ("--info", "-i")
INFO_KINDS = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
"""What may stand behind ``--info``; anything else is an override, which argparse would take for it."""

_PLAIN = re.compile(r"[\w./:+%*@?|-]*", re.ASCII)
_GRAMMAR = re.compile(r"""[\[\]{}()'"$]""")


def with_home(arguments: Sequence[str]) -> list[str]:
    """``key=~/data`` with the home folder: shells do that for words of their own alone."""
    found = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        found.append(f"{key}={os.path.expanduser(value)}" if equals and value.startswith("~") else argument)
    return found


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """Flags before overrides, as argparse wants them, and text quoted that Hydra's grammar does not have.

    Paths are taken as they stand (with ``-m``, commas part them); so is any other value without brackets or quotes
    that the grammar refuses, such as letters beyond ASCII.
    """
    flags, overrides = split_arguments(_with_kind(arguments))
    multirun = "-m" in flags or "--multirun" in flags
    return [*flags, *(_quoted(item, multirun) for item in overrides)]


def _with_kind(arguments: Sequence[str]) -> list[str]:
    """``--info`` and its kind as one argument."""
    found: list[str] = []
    for argument in arguments:
        if found and found[-1] in INFO:
            kind = argument if argument in INFO_KINDS else "all"
            found[-1] = f"--info={kind}"
            if argument in INFO_KINDS:
                continue
        found.append(argument)
    return [*found[:-1], "--info=all"] if found and found[-1] in INFO else found


def _quoted(override: str, multirun: bool) -> str:
    key, equals, value = override.partition("=")
    if not equals or value in ("", "null") or value[0] in "'\"" or "${" in value:
        return override
    is_path = key_of(override) in PATHS
    if multirun and "," in value:
        whole = not is_path or _GRAMMAR.search(value) or all(_PLAIN.fullmatch(part) for part in value.split(","))
        return override if whole else f"{key}={','.join(quoted(part) for part in value.split(','))}"
    if is_path and not (multirun and _GRAMMAR.search(value)):
        return f"{key}={quoted(value)}"
    if _PLAIN.fullmatch(value) or _GRAMMAR.search(value) or _parses(override):
        return override
    return f"{key}={quoted(value)}"


def _parses(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True
