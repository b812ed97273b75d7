"""The ways of saying that a tensor has so many bits: QONNX's Quant, and QuantizeLinear-Clip-DequantizeLinear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import PumiceError
from ...program.formats import Format, smallest_dtype
from ..onnx.graph import Graph
from ..onnx.qdq.quantize import WIDEST, power

DOMAIN = "qonnx.custom_op.general"
"""Of QONNX's own operators."""
CLIPPED = 8
"""Bits of the integers that runtimes clip."""


@dataclass(frozen=True)
class Dialect:
    """How values and constants are written. Tensors are float32, on the grids of their formats.

    Attributes:
        name: as settings have it.
        batch: of a model's inputs: a number, or the name of a dynamic axis.
        opset: of ONNX's operators.
        quantize: from the graph, a tensor and a format to the tensor rounded and saturated to it; no value of the
            tensor is a tie.
        constant: from the graph, codes of any shape, their width and sign (as a format), whether they are narrow, and
            their fractional bits, one number or one for each index of the last axis, to the real values.
        without: names of node types that its readers do not take.
    """

    name: str
    batch: int | str
    opset: int
    quantize: Callable[[Graph, str, Format], str]
    constant: Callable[[Graph, np.ndarray, Format, bool, np.ndarray], str]
    without: tuple[str, ...] = ()


def _quant(graph: Graph, tensor: str, scale: np.ndarray, format: Format, narrow: bool = False) -> str:
    inputs = (
        graph.constant(scale, np.float32),
        graph.constant(0, np.float32),
        graph.constant(format.width, np.float32),
    )
    return graph.op(
        "Quant",
        tensor,
        *inputs,
        dtype=np.float32,
        domain=DOMAIN,
        signed=int(format.signed),
        narrow=int(narrow),
        rounding_mode="ROUND",
    )


def _quant_value(graph: Graph, tensor: str, format: Format) -> str:
    return _quant(graph, tensor, power(-format.frac), format)


def _quant_constant(graph: Graph, codes: np.ndarray, format: Format, narrow: bool, frac: np.ndarray) -> str:
    """A scale has as many axes as its tensor, or none."""
    scale = _scale(frac)
    scale = scale.reshape((1,) * (codes.ndim - 1) + scale.shape) if scale.ndim else scale
    return _quant(graph, graph.constant(codes * scale, np.float32), scale, format, narrow)


def _one_scale(graph: Graph, codes: np.ndarray, format: Format, narrow: bool, frac: np.ndarray) -> str:
    """The same values by one scale, that of the most fractional bits, in as many more bits as the others lack."""
    most = np.max(frac)
    wider = Format(format.width + int(most - np.min(frac)), format.signed, 0)
    return _quant_constant(graph, codes.astype(np.int64) << (most - frac), wider, narrow, np.asarray(most))


def _qcdq_value(graph: Graph, tensor: str, format: Format) -> str:
    """Up to 8 bits by QuantizeLinear, Clip and DequantizeLinear, up to 16 clipped before; wider ones by Round."""
    if format.width > WIDEST:
        codes = graph.op("Round", graph.op("Mul", tensor, graph.constant(power(format.frac), np.float32)))
        low, high = (graph.constant(edge, np.float32) for edge in (format.min, format.max))
        clipped = graph.op("Clip", codes, low, high, dtype=np.float32)
        return graph.op("Mul", clipped, graph.constant(power(-format.frac), np.float32))
    dtype = smallest_dtype(format.width, format.signed)
    if CLIPPED < format.width < WIDEST:
        low, high = (graph.constant(edge * format.scale, np.float32) for edge in (format.min, format.max))
        tensor = graph.op("Clip", tensor, low, high, dtype=np.float32)
    scale, zero = graph.constant(power(-format.frac), np.float32), graph.constant(0, dtype)
    codes = graph.op("QuantizeLinear", tensor, scale, zero, dtype=dtype)
    if format.width < CLIPPED:
        codes = graph.op("Clip", codes, graph.constant(format.min, dtype), graph.constant(format.max, dtype))
    return graph.op("DequantizeLinear", codes, scale, zero, dtype=np.float32)


def _qcdq_constant(graph: Graph, codes: np.ndarray, format: Format, narrow: bool, frac: np.ndarray) -> str:
    dtype = smallest_dtype(format.width, format.signed)
    tensor, scale = graph.constant(codes, dtype), _scale(frac)
    if format.width < CLIPPED:
        low = graph.constant(format.min + narrow, dtype)
        tensor = graph.op("Clip", tensor, low, graph.constant(format.max, dtype))
    axis: dict[str, Any] = {"axis": codes.ndim - 1} if scale.ndim else {}
    return graph.op("DequantizeLinear", tensor, graph.constant(scale, np.float32), dtype=np.float32, **axis)


def _scale(frac: np.ndarray) -> np.ndarray:
    """``2**-frac``; one number where all agree."""
    fracs = np.asarray(frac)
    return power(-fracs[0]) if fracs.ndim and (fracs == fracs[0]).all() else power(-fracs)


DIALECTS: Mapping[str, Dialect] = {
    "qonnx": Dialect("qonnx", 1, 16, _quant_value, _quant_constant),
    "hls4ml": Dialect("hls4ml", 1, 16, _quant_value, _one_scale, ("Embedding", "Lookup")),
    "qcdq": Dialect("qcdq", "batch", 21, _qcdq_value, _qcdq_constant),
}
"""By the name of the setting. Tools that build circuits of QONNX take one row; runtimes take any number.

hls4ml reads QONNX whose constants have one scale each, and no gathers.
"""


def check_wide(dialect: Dialect, wide: bool, setting: str = "wide") -> None:
    """Refuse wide sums where runtimes compute in float32.

    Raises:
        PumiceError: naming ``setting``.
    """
    if wide and not isinstance(dialect.batch, int):
        raise PumiceError(
            f"{setting}=true is for tools that compute in fixed point, and runtimes take dialect={dialect.name} in "
            "float32; choose another dialect"
        )


def dialect_of(name: str, setting: str = "dialect") -> Dialect:
    """The dialect called ``name``.

    Raises:
        PumiceError: there is none; names ``setting``.
    """
    if name not in DIALECTS:
        raise PumiceError(f"{setting}={name} is unknown; use one of: {', '.join(DIALECTS)}")
    return DIALECTS[name]
