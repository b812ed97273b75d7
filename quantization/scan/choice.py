"""Which implementation of a scan runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ...errors import PumiceError


def choose(implementations: Mapping[str, Callable], name: str | None, drive: Tensor) -> Callable:
    """The implementation called ``name``, "numba" or "torch"; None stands for the fastest that fits the drive.

    Raises:
        PumiceError: a name that is unknown or does not fit the device.
    """
    on_cpu = drive.device.type == "cpu"
    if name is None:
        name = "numba" if on_cpu else "torch"
    if name not in implementations:
        raise PumiceError(f"scan implementation '{name}' is unknown; choose numba or torch")
    if name == "numba" and not on_cpu:
        raise PumiceError("the numba scan needs tensors on the CPU; choose implementation 'torch'")
    return implementations[name]
