"""Exceptions in process models: Lava's run() would wait for ever, so they go to a file that the driver watches."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "failures"


def fail(reason: str, process: int | None) -> None:
    """Leave ``reason`` in ``failures/``, as the end of ``process``; one that it left itself stays."""
    folder = Path(FOLDER)
    folder.mkdir(exist_ok=True)
    target, partial = folder / f"{process}.txt", folder / f".{process}-{os.getpid()}"
    if not target.exists():
        partial.write_text(reason, encoding="utf-8")
        partial.rename(target)


def reported(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a process model's method: exceptions go to ``failures/`` in the working folder, then on."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except BaseException:
            fail(traceback.format_exc(), os.getpid())
            raise

    return wrapper
