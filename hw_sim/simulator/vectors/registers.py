"""The vector registers that there are."""

from __future__ import annotations

import numba
from llvmlite import binding


def register_bits(name: str | None, features: str | None) -> int:
    """Bits of the vector registers of the CPU that numba compiles for: of its name and features, or of the host's."""
    if features is None:
        features = binding.get_host_cpu_features().flatten() if name in (None, "host") else ""
    found = features.split(",")
    return 512 if {"+avx512bw", "+avx512vl"} <= set(found) else 256 if "+avx2" in found else 128


REGISTER_BITS = register_bits(numba.config.CPU_NAME, numba.config.CPU_FEATURES)  # type: ignore[attr-defined]
"""Bits of a vector register of the CPU that is compiled for."""
