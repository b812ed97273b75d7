"""The vector registers that there are."""

from __future__ import annotations

import numba
from llvmlite import binding


def register_bits(name: str | None, features: str | None) -> int:
    """Bits of the vector registers of the CPU that numba compiles for: of its name and features, or of the host's."""
    found = features_of(name, features)
    return 512 if {"+avx512bw", "+avx512vl"} <= found else 256 if "+avx2" in found else 128


def multiplies_bytes(name: str | None, features: str | None) -> bool:
    """Whether this CPU multiplies 8-bit numbers in its longest registers, four of them added to a 32-bit sum."""
    return register_bits(name, features) == 512 and "+avx512vnni" in features_of(name, features)


def permutes_bytes(name: str | None, features: str | None) -> bool:
    """Whether this CPU looks up bytes in two of its longest registers."""
    return register_bits(name, features) == 512 and "+avx512vbmi" in features_of(name, features)


def features_of(name: str | None, features: str | None) -> set[str]:
    """Of the CPU that numba compiles for, by the settings that it has for that; the host's by default."""
    if features is None:
        features = binding.get_host_cpu_features().flatten() if name in (None, "host") else ""
    return set(features.split(","))


REGISTER_BITS = register_bits(numba.config.CPU_NAME, numba.config.CPU_FEATURES)  # type: ignore[attr-defined]
"""Bits of a vector register of the CPU that is compiled for."""

MULTIPLIES_BYTES = multiplies_bytes(numba.config.CPU_NAME, numba.config.CPU_FEATURES)  # type: ignore[attr-defined]
"""Whether vpdpbusd is there. The machine names it, and vpermi2b, since compilers make them of nothing else."""
PERMUTES_BYTES = permutes_bytes(numba.config.CPU_NAME, numba.config.CPU_FEATURES)  # type: ignore[attr-defined]
"""Whether vpermi2b is there."""
