"""Whether Hydra has to compose the settings once more, only to learn that nothing chooses the mode of its run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from hydra._internal.hydra import Hydra

from .overrides import split_arguments

FOREIGN = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")
"""Flags that bring settings beside Pumice's own, any of which may choose the mode."""


def may_choose_mode(arguments: Sequence[str]) -> bool:
    """Whether what Hydra is given may set ``hydra.mode``; Pumice's settings do not, and ``-m`` is a flag."""
    flags, overrides = split_arguments(list(arguments))
    foreign = any(flag.partition("=")[0] in FOREIGN for flag in flags)
    return foreign or any("hydra" in override for override in overrides)


@contextlib.contextmanager
def composed_once(arguments: Sequence[str]) -> Iterator[None]:
    """Spare Hydra the composition by which it looks for a mode, half of its time, where nothing sets one."""
    asked = Hydra.get_mode
    if not may_choose_mode(arguments):
        Hydra.get_mode = lambda self, config_name, overrides: None
    try:
        yield
    finally:
        Hydra.get_mode = asked
