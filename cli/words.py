"""Plain settings of verbs, ``key=value``, without a configuration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite, nan
from pathlib import Path

from ..errors import PumiceError

SOURCES = ("program", "net")
"""What names a program in place of a run folder."""
STREAM_USAGE = (
    "pumice stream program=FILE.npz|net=FILE.net|run_dir=FOLDER [backend=integer|float] [input=FILE|-|udp:PORT]\n"
    "       [every=N|every_ms=MS] [window=N|forget=K] [format=text|json] [state=FILE] [faults=refuse|skip]\n"
    "       [columns=[t,x,y,p]] [sensor=[...]] [unit=us|ms|s] [polarity=[off,on]] [unwrap=BOOL] [follow=BOOL]\n"
    "       [idle_s=S]"
)
PREDICT_USAGE = (
    "pumice predict program=FILE.npz|run_dir=FOLDER FILE... [backend=integer|float|onnx] [format=text|json] [top=N]\n"
    "       [unit=us|ms|s] [threads=N]"
)
FLAGS = {"true": True, "false": False}


class Words:
    """Settings as typed.

    Args:
        arguments: ``key=value`` each.
        known: keys that the verb has.
        verb: as messages name it.

    Attributes:
        given: values by key.

    Raises:
        PumiceError: another key, one twice, or a word without a key.
    """

    def __init__(self, arguments: Sequence[str], known: Collection[str], verb: str) -> None:
        self.given: dict[str, str] = {}
        for argument in arguments:
            key, equals, value = argument.partition("=")
            if not equals or key not in known:
                raise PumiceError(f"'{argument}' is no setting of '{verb}' on a file; it has {', '.join(known)}")
            if key in self.given:
                raise PumiceError(f"{key} is given twice; give it once")
            self.given[key] = value

    def text(self, key: str, default: str) -> str:
        """A word."""
        return self.given.get(key, default)

    def number(self, key: str) -> int | None:
        """A whole number, 0 or more; None where it is not given, or null."""
        value = self.given.get(key, "null")
        if value == "null":
            return None
        if not (value.isascii() and value.isdigit()):
            raise PumiceError(f"{key}={value} has to be a whole number; change it")
        return int(value)

    def real(self, key: str) -> float | None:
        """A finite number; None where it is not given, or null."""
        value = self.given.get(key, "null")
        if value == "null":
            return None
        try:
            found = float(value)
        except ValueError:
            found = nan
        if not isfinite(found):
            raise PumiceError(f"{key}={value} has to be a number; change it")
        return found

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.given[key].lower()
        if value not in FLAGS:
            raise PumiceError(f"{key}={self.given[key]} has to be true or false; change it")
        return FLAGS[value]

    def listed(self, key: str) -> list[str]:
        """Words between commas, in brackets or not; none where it is not given."""
        value = self.given.get(key, "").strip()
        inner = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        return [word.strip().strip("'\"") for word in inner.split(",")] if inner else []

    def path(self, key: str) -> Path | None:
        """A file or folder."""
        return Path(self.given[key]) if self.given.get(key) else None

    def needed_path(self, key: str) -> Path:
        """A file or folder that has to be named."""
        found = self.path(key)
        if found is None:
            raise PumiceError(f"{key} is missing; name a file by {key}=...")
        return found
