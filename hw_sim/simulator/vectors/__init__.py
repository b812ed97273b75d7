"""Vectors of LANES integers, of which kernels are written: loads, stores and arithmetic of rows, without aliases.

One text for every CPU: `native` says each operation in LLVM's own vector instructions and names no instruction of any
processor, so that the compiler takes whatever registers there are. With NUMBA_DISABLE_JIT=1 the machine runs as Python,
for debugging, and a vector is a small numpy array (`plain`).

A vector has the type of the array ``like`` that it was made beside. Loads may reach up to LANES - 1 entries beyond a
row; arenas end in as many. Stores and counts take how many entries are left, and touch no others.
"""

import numba

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    from .plain import (
        add_saturating,
        cast,
        choose,
        first,
        floor,
        gather,
        integers,
        load,
        maximum,
        minimum,
        part,
        reals,
        splat,
        squeeze,
        store,
        tally,
        total,
    )
else:
    from .native import (  # type: ignore[assignment]
        add_saturating,
        cast,
        choose,
        first,
        floor,
        gather,
        integers,
        load,
        maximum,
        minimum,
        part,
        reals,
        splat,
        squeeze,
        store,
        tally,
        total,
    )
from .plain import LANES

__all__ = [
    "LANES",
    "add_saturating",
    "cast",
    "choose",
    "first",
    "floor",
    "gather",
    "integers",
    "load",
    "maximum",
    "minimum",
    "part",
    "reals",
    "splat",
    "squeeze",
    "store",
    "tally",
    "total",
]
