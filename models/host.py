"""What the host knows of a batch that lies on a device, which then is not waited for to tell it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..errors import PumiceError


@dataclass(frozen=True)
class Known:
    """What is known.

    Attributes:
        tokens: that all tokens are those of the model (`check_tokens` has seen them).
        whole: whether no step of a batch is padding; None where that is not known.
    """

    tokens: bool = False
    whole: bool | None = None


NOTHING = Known()
_known: ContextVar[Known] = ContextVar("known", default=NOTHING)


@contextlib.contextmanager
def knowing(**facts: Any) -> Iterator[None]:
    """Let models that run meanwhile know `Known`'s ``facts`` of batches on a device."""
    token = _known.set(replace(_known.get(), **facts))
    try:
        yield
    finally:
        _known.reset(token)


def whole_or_none() -> bool | None:
    """See `Known.whole`."""
    return _known.get().whole


def check_tokens(tokens: Tensor, vocab: int) -> None:
    """Refuse tokens outside the vocabulary; on a device those are believed that the host has seen.

    Raises:
        PumiceError: with the range of both.
    """
    if not tokens.numel() or (_known.get().tokens and tokens.device.type != "cpu"):
        return
    lowest, highest = (int(bound) for bound in tokens.aminmax())
    if lowest < 0 or highest >= vocab:
        raise PumiceError(
            f"tokens span {lowest} to {highest}, but the model knows 0 to {vocab - 1}; "
            "set vocab to the channels of the sensor, or to the letters of the text"
        )
