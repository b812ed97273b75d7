"""A program as an ONNX model of float operators between QuantizeLinear and DequantizeLinear: an approximation.

For runtimes and accelerators that take quantized networks in this form alone. Widths, scales and weights are the
program's, but products, sums and roots are floating point and values are rounded half to even, so that codes may
differ from the program's by a unit and more.
"""

from __future__ import annotations

from ..dialect import Dialect
from . import neurons, ssm, stateless, windows

QDQ = Dialect(
    "an approximation of a program for runtimes that take QuantizeLinear and DequantizeLinear; not bit-exact",
    "approximate",
    {**stateless.WRITERS, **ssm.WRITERS, **windows.WRITERS, **neurons.WRITERS},
    windows.UPDATERS,
)
"""Edges are float32 real values on the grids of the program's formats; gaps stay integers; states are float32."""

__all__ = ["QDQ"]
