"""Exponents of an S5 layer's weights: one a row, from the folded weights and the formats around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codes import Floats
from ..config import Widths
from ..decays import decay_table, gap_digits
from ..exponents import row_fracs, useful_frac
from .fold import FoldedLayer
from .formats import Geometry, LayerFormats, LayerFracs

BETA_BITS = 8
"""Of a layer norm's beta, beyond those of what it writes."""
LARGEST_GAMMA_FRAC = 16
Folded = FoldedLayer[NDArray[Any]]


def tick_rate(folded: Folded, tick_ms: float) -> NDArray[np.complex128]:
    """Lambda * step * tick, (P,)."""
    return (folded.rate * tick_ms).astype(np.complex128, copy=False)


def layer_decays(
    folded: Folded, tick_ms: float, formats: LayerFormats, widths: Widths
) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """Codes of the decays' complements, (J, P) each; of real modes without imaginary parts, (J, 0)."""
    rate = tick_rate(folded, tick_ms)
    digits = gap_digits(rate, formats.state_width)
    re, im, exponent = decay_table(rate, digits, widths.decay, formats.state_width)
    return re, im[:, :0] if folded.parts == 1 else im, exponent


def mode_rows(matrix: Floats, parts: int) -> Floats:
    """(2P, H) planar to (P, 2H): real and imaginary row of a mode side by side; of real modes (P, H) as it is."""
    return np.concatenate(np.split(matrix, parts), axis=1)


def read_columns(output: Floats, formats: LayerFormats) -> Floats:
    """C, (O, 2P) or (O, P), for codes in place of values: its columns absorb the modes' exponents."""
    shift = formats.state_frac - formats.read_shift
    return np.ldexp(output, -np.tile(shift, output.shape[1] // len(shift)))


def layer_fracs(folded: Folded, geometry: Geometry, formats: LayerFormats, widths: Widths, method: str) -> LayerFracs:
    """Exponents of a layer, from its folded weights (float64 arrays)."""
    u_pooled, x_pooled, read = (
        geometry.pooled(formats.u),
        geometry.pooled(formats.input),
        geometry.sampled(formats.read),
    )
    norm = skip = gamma = feedthrough = None
    if folded.norm is not None:
        limit = useful_frac(*formats.normed(geometry))
        norm = row_fracs(folded.norm.multiplier[:, None], widths.norm, "max", limit)
    if folded.affine is not None:
        gamma = row_fracs(folded.affine.multiplier[None], widths.norm, "max", LARGEST_GAMMA_FRAC)
    if folded.skip is not None and formats.skip is not None:
        skip = row_fracs(folded.skip.weight, widths.skip, method, useful_frac(x_pooled, formats.skip))
    columns = read_columns(folded.output, formats)
    outputs = row_fracs(columns, widths.output, method, useful_frac(read, formats.sums))
    if folded.feedthrough is not None:
        through = folded.feedthrough if folded.feedthrough.ndim == 2 else folded.feedthrough[:, None]
        found = row_fracs(through, widths.feedthrough, method, useful_frac(u_pooled, formats.sums))
        # A finer D would shift C's sums out of 32 bits; a row of zeros has no exponent of its own and must not
        # coarsen D.
        outputs = np.where(columns.any(axis=1), outputs, found + u_pooled.frac - read.frac)
        feedthrough = np.minimum(found, outputs + read.frac - u_pooled.frac)
    gates, form = [], formats.input
    for layer, output in zip(folded.gates, formats.gates, strict=True):
        gates.append(row_fracs(layer.weight, widths.gate, method, useful_frac(form, output)))
        form = output
    rows = mode_rows(folded.input, folded.parts)
    return LayerFracs(
        norm=norm,
        input=row_fracs(rows, widths.input, method, useful_frac(formats.u, formats.state_frac)),
        output=outputs,
        feedthrough=feedthrough,
        gate=row_fracs(folded.gate, widths.gate, method, formats.out.finest(len(folded.gate))),
        skip=skip,
        gamma=gamma,
        gates=tuple(gates),
    )
