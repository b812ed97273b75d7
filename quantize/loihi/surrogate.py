"""The surrogate gradient of Loihi's spikes, in units of the threshold."""

from __future__ import annotations

from torch import Tensor

from ...models.adlif.surrogate import surrogate_slope
from ..program.nodes.loihi import ALIGNMENT


def threshold_slope(potential: Tensor, vth: int, slope: float, scale: float) -> Tensor:
    """The derivative put in place of that of ``[v > 64 vth]`` by v: as for a threshold of 1, which 64 vth codes are."""
    unit = float(max(vth, 1) << ALIGNMENT)
    return surrogate_slope(potential / unit, 1.0, slope, scale) / unit
