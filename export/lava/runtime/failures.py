"""Exceptions in process models: Lava's run() would wait for ever, so they go to a file that the driver watches."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = "failures"


def reported(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a process model's method: exceptions go to ``failures/`` in the working folder, then on."""

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except BaseException:
            folder = Path(FOLDER)
            folder.mkdir(exist_ok=True)
            partial = folder / f".{os.getpid()}"
            partial.write_text(traceback.format_exc(), encoding="utf-8")
            partial.rename(folder / f"{os.getpid()}.txt")
            raise

    return wrapper
