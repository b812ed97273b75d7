"""Which implementation of a scan runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from ...errors import PumiceError

Scan = TypeVar("Scan", bound=Callable[..., object])


def choose(
    implementations: Mapping[str, Scan], name: str | None, compiled: bool, takes: str = "tensors on the CPU"
) -> Scan:
    """The implementation called ``name``; None stands for the fastest that fits.

    Args:
        implementations: "numba" (compiled), "torch", and others, by name.
        name: of the one that is asked for.
        compiled: whether the compiled one fits the tensors.
        takes: the tensors that it takes, in words.

    Raises:
        PumiceError: a name that is unknown or does not fit the tensors.
    """
    if name is None:
        name = "numba" if compiled else "torch"
    if name not in implementations:
        raise PumiceError(f"scan implementation '{name}' is unknown; choose one of {', '.join(implementations)}")
    if name == "numba" and not compiled:
        raise PumiceError(f"the numba scan takes {takes}; choose implementation 'torch'")
    return implementations[name]
