"""`quantized_integrator_scan`: the LeakyIntegrator node on floats, with a straight-through gradient."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...models.scan.choice import choose
from ...program.formats import Format
from .kernels.integrator import integrator_numba
from .neuron_loop import integrator_loop

IMPLEMENTATIONS = {"numba": integrator_numba, "torch": integrator_loop}


class IntegratorTrace(NamedTuple):
    """Potentials (B, T, C), with a gradient, and the stores that clipped, (B,) int64, over all T steps."""

    potentials: Tensor
    saturations: Tensor


def quantized_integrator_scan(
    drive: Tensor,
    decay: Tensor,
    output: Format,
    initial: Tensor | None = None,
    *,
    implementation: str | None = None,
) -> IntegratorTrace:
    """Run ``o = sat(rhu(decay o' + drive))`` over a batch, on values; backward as in `quantized_neuron_scan`.

    In float64 the result is that of the integers, exactly; float32 is for training.

    Args:
        drive: (B, T, C), W x + bias at every step, not rounded.
        decay: (C,), values of codes.
        output: format of o.
        initial: (B, C), o before the first step; zero if not given.
        implementation: "numba" (CPU) or "torch" (any device); by default the fastest that fits.

    Raises:
        PumiceError: an implementation that is unknown or does not fit the device.
    """
    scan = choose(IMPLEMENTATIONS, implementation, drive.device.type == "cpu")
    initial = drive.new_zeros(drive.shape[0], drive.shape[2]) if initial is None else initial.to(drive.dtype)
    return IntegratorTrace(*scan(drive, decay.to(drive.dtype), initial, output))
