"""`loihi_scan`: a layer of LoihiLIF neurons over whole sequences, with a surrogate gradient."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...models.scan.choice import choose
from .kernels import loihi_scan_numba
from .loop import Dynamics, loihi_loop

IMPLEMENTATIONS = {"numba": loihi_scan_numba, "torch": loihi_loop}


class LoihiTrace(NamedTuple):
    """What a scan gives: spikes z (B, T, H) with gradients; u and v before the reset, (B, T, H) codes, and ``lost``
    (B,) int64, wraps of u and clips of v over all T steps, without.
    """

    z: Tensor
    u: Tensor
    v: Tensor
    lost: Tensor


def loihi_scan(
    drive: Tensor,
    recurrent: Tensor,
    bias: Tensor,
    dynamics: Dynamics,
    *,
    slope: float = 5.0,
    scale: float = 0.4,
    implementation: str | None = None,
) -> LoihiTrace:
    """The recurrence of `LoihiLIF` (program/nodes/loihi.py) without a weight exponent, from the zero state.

    All are codes in floats, and the arithmetic is that of the integers whatever the float type; a drive that is not
    whole is rounded. Backward, decays do not truncate and u does not wrap; a clipped v passes no gradient; spikes have
    that of `surrogate_slope` at v in units of the threshold, and the reset passes none to them.

    Args:
        drive: (B, T, H), W x.
        recurrent: V (H, H) or (H, 0).
        bias: (H,).
        dynamics: decays and threshold.
        slope: of the surrogate.
        scale: of the surrogate.
        implementation: "numba" (compiled, on the CPU), "torch" (any device), or None for the faster one that fits.

    Raises:
        PumiceError: an implementation that is unknown or does not fit the device.
    """
    scan = choose(IMPLEMENTATIONS, implementation, drive.device.type == "cpu")
    return LoihiTrace(*scan(drive, recurrent.to(drive.dtype), bias.to(drive.dtype), dynamics, slope, scale))
