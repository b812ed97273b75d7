"""Exponents of an S5 layer's weights: one a row, from the folded weights and the formats around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codes import Floats
from ..config import Widths
from ..exponents import row_fracs, useful_frac
from .fold import FoldedLayer
from .formats import Geometry, LayerFormats, LayerFracs

Folded = FoldedLayer[NDArray[Any]]


def tick_rate(folded: Folded, tick_ms: float) -> NDArray[np.complex128]:
    """Lambda * step * tick, (P,)."""
    return (folded.rate * tick_ms).astype(np.complex128, copy=False)


def mode_rows(matrix: Floats) -> Floats:
    """(2P, H) planar to (P, 2H): real and imaginary row of a mode side by side."""
    return np.concatenate(np.split(matrix, 2), axis=1)


def read_columns(output: Floats, formats: LayerFormats) -> Floats:
    """C, (O, 2P), for codes in place of values: its columns absorb the modes' exponents."""
    shift = np.tile(formats.state_frac - formats.read_shift, 2)
    return np.ldexp(output, -shift)


def layer_fracs(folded: Folded, geometry: Geometry, formats: LayerFormats, widths: Widths, method: str) -> LayerFracs:
    """Exponents of a layer, from its folded weights (float64 arrays)."""
    u_pooled, x_pooled = geometry.pooled(formats.u), geometry.pooled(formats.input)
    multiplier = skip = None
    if folded.norm is not None:
        limit = useful_frac(formats.input, formats.u)
        multiplier = row_fracs(folded.norm.multiplier[:, None], widths.norm, "max", limit)
    if folded.skip is not None and formats.skip is not None:
        skip = row_fracs(folded.skip.weight, widths.skip, method, useful_frac(x_pooled, formats.skip))
    through = folded.feedthrough if folded.feedthrough.ndim == 2 else folded.feedthrough[:, None]
    through_fracs = row_fracs(through, widths.feedthrough, method, useful_frac(u_pooled, formats.out.sums))
    columns = read_columns(folded.output, formats)
    outputs = row_fracs(columns, widths.output, method, useful_frac(formats.read, formats.out.sums))
    # A finer D would shift C's sums out of 32 bits; a row of zeros has no exponent of its own and must not coarsen D.
    outputs = np.where(columns.any(axis=1), outputs, through_fracs + u_pooled.frac - formats.read.frac)
    return LayerFracs(
        multiplier=multiplier,
        input=row_fracs(mode_rows(folded.input), widths.input, method, useful_frac(formats.u, formats.state_frac)),
        output=outputs,
        feedthrough=np.minimum(through_fracs, outputs + formats.read.frac - u_pooled.frac),
        gate=row_fracs(folded.gate, widths.gate, method, formats.out.finest(len(folded.gate))),
        skip=skip,
    )
