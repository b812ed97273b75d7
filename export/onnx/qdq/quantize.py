"""Values and weights between QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ....program.formats import Format, smallest_dtype
from ..graph import Graph

WIDEST = 16
"""QuantizeLinear makes at most 16 bits; wider edges stay float32, which holds 24 bits exactly."""


def power(exponent: int | np.ndarray) -> np.ndarray:
    """``2**exponent`` in float32."""
    return np.ldexp(np.float32(1), np.asarray(exponent, dtype=np.int64))


def quantize(graph: Graph, tensor: str, format: Format) -> str:
    """Real values rounded (half to even) and saturated to the grid of ``format``; float32 again."""
    dtype = smallest_dtype(format.width, format.signed)
    if format.width != dtype.itemsize * 8:
        low, high = (graph.constant(edge * format.scale, np.float32) for edge in (format.min, format.max))
        tensor = graph.op("Clip", tensor, low, high, dtype=np.float32)
    if format.width > WIDEST:
        return tensor
    scale, zero = graph.constant(power(-format.frac), np.float32), graph.constant(0, dtype)
    codes = graph.op("QuantizeLinear", tensor, scale, zero, dtype=dtype)
    return graph.op("DequantizeLinear", codes, scale, zero, dtype=np.float32)


def codes_to_real(graph: Graph, codes: np.ndarray, width: int, frac: int | np.ndarray, axis: int = 0) -> str:
    """Constant codes times ``2**-frac``; ``frac`` is one number, or one for each index of ``axis``."""
    fracs = np.asarray(frac, dtype=np.int64)
    if fracs.ndim and np.all(fracs == fracs[0]):
        fracs = fracs[0, ...]
    tensor = graph.constant(codes, smallest_dtype(width))
    scale = graph.constant(power(-fracs), np.float32)
    attributes: dict[str, Any] = {"axis": axis} if fracs.ndim else {}
    return graph.op("DequantizeLinear", tensor, scale, dtype=np.float32, **attributes)


def matmul(graph: Graph, tensor: str, codes: np.ndarray, width: int, frac: int | np.ndarray) -> str:
    """``W x`` in float32. Shapes: tensor (B, in), codes (out, in) or a diagonal (out,), frac () or (out,)."""
    if codes.ndim == 1:
        return graph.op("Mul", tensor, codes_to_real(graph, codes, width, frac), dtype=np.float32)
    weight = codes_to_real(graph, codes.T, width, frac, axis=1)
    return graph.op("MatMul", tensor, weight, dtype=np.float32)


def real(graph: Graph, values: ArrayLike) -> str:
    """A float32 constant."""
    return graph.constant(np.asarray(values, dtype=np.float64), np.float32)
