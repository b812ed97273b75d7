"""Tables of functions over the codes of a format. Numpy in float64."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, sqrt

import numpy as np

from ..program.formats import Format, smallest_dtype
from .codes import Codes, Floats, rounded

SIGMOID = Format(width=8, signed=False, frac=8)
"""Of a gate's sigmoid."""


def lookup_table(function: Callable[[Floats], Floats], input: Format, output: Format) -> Codes:
    """Codes of ``function`` over all codes of ``input``, (2**width,)."""
    values = function(np.ldexp(np.arange(input.min, input.max + 1, dtype=np.float64), -input.frac))
    codes = np.clip(rounded(np.ldexp(values, output.frac)), output.min, output.max)
    return codes.astype(smallest_dtype(output.width, output.signed))


def gelu(x: Floats) -> Floats:
    """GELU, tanh form."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_erf(x: Floats) -> Floats:
    """GELU, with the error function."""
    return np.array([0.5 * v * (1 + erf(v / sqrt(2))) for v in x.tolist()])


def relu(x: Floats) -> Floats:
    """max(x, 0)."""
    return np.maximum(x, 0.0)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x))."""
    return 0.5 * (1 + np.tanh(0.5 * x))


FUNCTIONS = {"gelu": gelu, "gelu_erf": gelu_erf, "relu": relu, "sigmoid": sigmoid}
