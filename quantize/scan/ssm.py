"""`quantized_scan`: the state of a DiagonalSSM node on floats that hold integers, with a straight-through gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ...models.scan.choice import choose
from ..rounding import pow2
from .kernels.ssm import scan_numba
from .ssm_loop import scan_loop

IMPLEMENTATIONS = {"numba": scan_numba, "torch": scan_loop}


class DecayTable(NamedTuple):
    """Codes of the decays' complements, ``d_j = a**(2**j) - 1 = (re + i im) 2**-exponent``; integers, (J, P) each.

    Of real modes ``decay_im`` is (J, 0).
    """

    decay_re: Tensor
    decay_im: Tensor
    decay_exponent: Tensor

    def complement(self) -> Tensor:
        """d as float64 values, planar (J, 2P): exact, and so is their product with a state's codes."""
        unit = pow2(-self.decay_exponent, torch.empty(0, dtype=torch.float64, device=self.decay_re.device))
        turning = torch.zeros_like(unit) if self.real else self.decay_im * unit
        return torch.cat([self.decay_re * unit, turning], dim=1)

    @property
    def real(self) -> bool:
        """Whether the modes are real."""
        return self.decay_im.numel() == 0


class SSMTrace(NamedTuple):
    """What a scan gives.

    Attributes:
        states: the codes, (B, L // sample_every, P) complex or (..., 2P) planar like the drive, with gradients.
        saturations: (B,) int64, stores that clipped over all L events, counted for each component of a state.
    """

    states: Tensor
    saturations: Tensor


def quantized_scan(
    drive: Tensor,
    gaps: Tensor,
    table: DecayTable,
    rate: Tensor,
    state_min: int,
    state_max: int,
    hold: bool = False,
    initial: Tensor | None = None,
    *,
    tokens: Tensor | None = None,
    sample_every: int = 1,
    implementation: str | None = None,
) -> SSMTrace:
    """Run the recurrence of `DiagonalSSM` over a batch (program/nodes/ssm.py states the equations).

    States and drive are in units of the state's codes. Inside, everything is float64, hence exact for states that the
    program accepts; float32 tensors hold codes of up to 25 bits. Padding has gap 0 and drive 0.

    Backward is straight-through: rounding has the gradient 1, a store passes the gradient of a component where it did
    not clip, a decay step multiplies by ``conj(1 + d_j)``, and the rate's gradient is that of ``exp(rate 2**j)`` taken
    at the quantized decay, so that without clipping ``dA/d rate = n A`` for a gap of n ticks.

    Args:
        drive: (B, L, P) complex, or (B, L, 2P) planar (real parts, then imaginary parts), which saves two copies;
            ``(B u + b) 2**state_frac``, not yet rounded. With ``tokens`` (V, ...), a row a token.
        gaps: (B, L) integers >= 0 in ticks, clipped to ``2**J - 1`` here.
        table: the decays.
        rate: (P,) complex, Lambda * step * tick; used by the backward pass alone. Real where the modes are, whose drive
            and states are (B, L, P) real.
        state_min: lowest code of a state.
        state_max: highest code.
        hold: zoh, the drive being ``(B u / Lambda) 2**state_frac``; an event with gap 0 then changes nothing.
        initial: codes before the first event, (B, P) complex or (B, 2P) planar like the drive; zero if not given.
        tokens: (B, L) int64, which row of ``drive`` each event has.
        sample_every: keep the states of events 0, s, 2s, ... of complete windows only.
        implementation: "numba" (CPU) or "torch" (any device); by default the fastest that fits.

    Raises:
        PumiceError: an implementation that is unknown or does not fit the device.
    """
    scan = choose(IMPLEMENTATIONS, implementation, drive.device.type == "cpu")
    is_complex, table = drive.is_complex(), DecayTable(*table)
    if table.real:  # the kernels' states are complex
        drive, rate = torch.cat([drive, torch.zeros_like(drive)], dim=-1), torch.complex(rate, torch.zeros_like(rate))
        initial = None if initial is None else torch.cat([initial, torch.zeros_like(initial)], dim=1)
    elif is_complex:
        drive = _planar(drive)
        initial = None if initial is None else _planar(initial)
    if initial is None:
        initial = drive.new_zeros(len(gaps), drive.shape[-1])
    longest = (1 << len(table.decay_re)) - 1
    states, saturations = scan(
        drive,
        tokens,
        gaps.clamp(0, longest).to(torch.int64),
        table.complement(),
        torch.cat([rate.real, rate.imag]),
        initial.to(drive.dtype),
        (float(state_min), float(state_max)),
        hold,
        sample_every,
    )
    if is_complex:
        states = torch.complex(*states.chunk(2, dim=-1))
    elif table.real:
        states = states[..., : states.shape[-1] // 2]
    return SSMTrace(states, saturations)


def _planar(x: Tensor) -> Tensor:
    return torch.cat([x.real, x.imag], dim=-1)
