"""The parts of a program that keep no state, in the dialects of quantized networks: QONNX (Pappalardo et al. 2022,
arXiv 2206.07527) and QuantizeLinear-Clip-DequantizeLinear.
"""

from .check import run
from .dialects import DIALECTS, check_wide, dialect_of
from .parts import Part, split
from .runnable import runnable
from .write import MANIFEST, Written, write_parts
from .writers import kinds, reasons

__all__ = [
    "DIALECTS",
    "MANIFEST",
    "Part",
    "Written",
    "check_wide",
    "dialect_of",
    "kinds",
    "reasons",
    "run",
    "runnable",
    "split",
    "write_parts",
]
