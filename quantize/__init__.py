"""Fake quantization with brevitas, calibration, and lowering to the integer program.

The room is callable: ``pumice.quantize(model, batches)`` does all of it, see `pumice.api.quantize.quantize`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any


class _Room(ModuleType):
    """A package that is called as the function of the same name in the package's face (``import pumice``).

    Importing anything of this room makes Python bind ``pumice.quantize`` to it, in place of the function.
    """

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The function: `inspect.signature` and its like look here."""
        function: Callable[..., Any] = import_module("pumice.api.quantize").quantize
        return function

    def __call__(self, *arguments: Any, **settings: Any) -> Any:
        return self.__wrapped__(*arguments, **settings)


sys.modules[__name__].__class__ = _Room
