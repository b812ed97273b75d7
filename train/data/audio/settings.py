"""How sound becomes spikes: section ``task.audio``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ....errors import PumiceError

LONGEST_S = 600


@dataclass(frozen=True)
class AudioSettings:
    """Section ``task.audio``.

    trim: cut silence off both ends.
    longest_s: longer files are refused.
    threads: that encode; None: one a core.
    """

    trim: bool = True
    longest_s: float = 60
    threads: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.longest_s <= LONGEST_S:
            raise PumiceError(
                f"task.audio.longest_s={self.longest_s} is out of range; it lies between 0 and {LONGEST_S}"
            )
        if self.threads is not None and self.threads < 1:
            raise PumiceError(f"task.audio.threads={self.threads} has to be at least 1, or null")


def audio_settings(values: Mapping[str, Any] | None) -> AudioSettings:
    """Build the section from plain values.

    Raises:
        PumiceError: a key is unknown, or a value is out of range.
    """
    known = [entry.name for entry in fields(AudioSettings)]
    for key in values or {}:
        if key not in known:
            raise PumiceError(f"task.audio.{key} is unknown; the keys are {', '.join(known)}")
    try:
        return AudioSettings(**(values or {}))
    except TypeError as error:
        raise PumiceError(f"the settings of task.audio are of a wrong kind ({error}); give numbers") from None
