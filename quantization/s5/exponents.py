"""Exponents of an S5 layer's weights: one a row, from the folded weights and the formats around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import PumiceError
from ..codes import Floats
from ..config import Widths
from ..exponents import row_fracs, useful_frac
from .fold import FoldedLayer
from .formats import Geometry, LayerFormats, LayerFracs, pooled


def to_numpy(folded: FoldedLayer) -> FoldedLayer:
    """The same with float64 (complex128) arrays in place of tensors."""
    values: dict[str, Any] = {}
    for name, tensor in folded._asdict().items():
        values[name] = (
            None
            if tensor is None
            else tensor.detach()
            .cpu()
            .resolve_conj()
            .numpy()
            .astype(np.complex128 if tensor.is_complex() else np.float64)
        )
    return FoldedLayer(**values)


def check_finite(folded: FoldedLayer, path: str) -> None:
    """Refuse NaN and infinite weights.

    Raises:
        PumiceError: names the layer and the weight.
    """
    for name, values in folded._asdict().items():
        if values is not None and not np.isfinite(values).all():
            raise PumiceError(f"{path}: the folded weight '{name}' holds NaN or infinity; train the model again")


def mode_rows(matrix: Floats) -> Floats:
    """(2P, H) planar to (P, 2H): real and imaginary row of a mode side by side."""
    return np.concatenate(np.split(matrix, 2), axis=1)


def read_columns(output: Floats, formats: LayerFormats) -> Floats:
    """C, (O, 2P), for codes in place of values: its columns absorb the modes' exponents."""
    shift = np.tile(formats.state_frac - formats.read_shift, 2)
    return np.ldexp(output, -shift)


def layer_fracs(
    folded: FoldedLayer, geometry: Geometry, formats: LayerFormats, widths: Widths, method: str
) -> LayerFracs:
    """Exponents of a layer, from its folded weights (float64 arrays)."""
    u_pooled = pooled(formats.u, geometry.stride) if geometry.pooling == "avgpool" else formats.u
    x_pooled = pooled(formats.input, geometry.stride) if geometry.pooling == "avgpool" else formats.input
    multiplier = skip = None
    if folded.multiplier is not None:
        limit = useful_frac(formats.input, formats.u)
        multiplier = row_fracs(folded.multiplier[:, None], widths.norm, "max", limit)
    if folded.skip is not None:
        skip = row_fracs(folded.skip, widths.skip, method, useful_frac(x_pooled, formats.skip))
    through = folded.feedthrough if folded.feedthrough.ndim == 2 else folded.feedthrough[:, None]
    through_fracs = row_fracs(through, widths.feedthrough, method, useful_frac(u_pooled, formats.y))
    columns = read_columns(folded.output, formats)
    outputs = row_fracs(columns, widths.output, method, useful_frac(formats.read, formats.y))
    # A finer D would shift C's sums out of 32 bits; a row of zeros has no exponent of its own and must not coarsen D.
    outputs = np.where(columns.any(axis=1), outputs, through_fracs + u_pooled.frac - formats.read.frac)
    return LayerFracs(
        multiplier=multiplier,
        input=row_fracs(mode_rows(folded.input), widths.input, method, useful_frac(formats.u, formats.state_frac)),
        output=outputs,
        feedthrough=np.minimum(through_fracs, outputs + formats.read.frac - u_pooled.frac),
        gate=row_fracs(folded.gate, widths.gate, method, useful_frac(formats.gelu, formats.gate)),
        skip=skip,
    )
