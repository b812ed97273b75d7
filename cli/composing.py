"""What Hydra does for nothing when it composes settings, left out: Pumice's files are read once, and composed once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from .overrides import split_arguments

FOREIGN = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
"""Flags that bring settings beside Pumice's own, any of which may choose the mode."""

_read: dict[str, Any] = {}
"""What packages' own files of settings hold, by path; the jobs of a multirun compose them again and again."""


def may_choose_mode(arguments: Sequence[str]) -> bool:
    """Whether what Hydra is given may set ``hydra.mode``; Pumice's settings do not, and ``-m`` is a flag."""
    flags, overrides = split_arguments(list(arguments))
    foreign = any(flag.partition("=")[0] in FOREIGN for flag in flags)
    return foreign or any("hydra" in override for override in overrides)


@contextlib.contextmanager
def composed_once(arguments: Sequence[str]) -> Iterator[None]:
    """Spare Hydra the composition by which it looks for a mode where nothing sets one, and files that it has read."""
    hydra: Any = Hydra
    Plugins.instance()  # which registers sources
    source: Any = SourcesRegistry.instance().resolve("pkg")
    asked, read = hydra.get_mode, source._read_config

    def read_once(self: Any, resource: Any) -> Any:
        place = f"{self.provider} {resource}"
        if place not in _read:
            _read[place] = read(self, resource)
        return deepcopy(_read[place])  # which is changed by who gets it

    source._read_config = read_once
    if not may_choose_mode(arguments):
        hydra.get_mode = lambda self, config_name, overrides: None
    try:
        yield
    finally:
        hydra.get_mode, source._read_config = asked, read
