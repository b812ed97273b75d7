"""How the values of the float model lie in the codes that the program has for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...program import Program
from ...program.nodes import TRACED
from .fidelity import STATE

LOWEST, ABOVE = -6, 3
"""Bits below one unit, and above the widest code, that are told apart."""


def ranges(program: Program, floats: Sequence[Mapping[str, np.ndarray]]) -> dict[str, dict[str, Any]]:
    """Where the magnitudes of real values lie between a code's unit and its limit, by node and state.

    A value x in a node with f fractional bits has ``e = floor(log2(|x| 2^f)) + 1`` bits: code 1 has one, what has less
    than 0 is rounded to 0, and what has more than ``bits`` is clipped.

    Args:
        program: of which the exponents are.
        floats: as of `signal_to_noise`, an entry a sample.

    Returns:
        by node, states under ``<node>:state``, of neurons under the names of `state_bits`; neither spikes nor logits:
        ``bits`` of the largest magnitude, ``zeros`` (values that are 0), ``first`` and ``counts``: values of ``first``,
        ``first + 1``, ... bits, the ends with all beyond them.
    """
    found: dict[str, dict[str, Any]] = {}
    for key in floats[0] if floats else ():
        values = np.concatenate([np.atleast_2d(sample[key]) for sample in floats])
        name = key.removesuffix(STATE)
        node = program[name]
        if name == key and name != program.logits and node.output.width > 1:
            found[key] = _counted(values, node.output.width - int(node.output.signed), node.output.frac)
        elif name != key:
            first = 0
            for state in node.states():
                if state.seen == TRACED:
                    columns = values[:, first : first + state.size]
                    own = state.key(name)
                    found[key if own == name else own] = _counted(columns, state.width - 1, state.fracs)
                    first += state.size
    return found


def _counted(values: np.ndarray, bits: int, fracs: int | np.ndarray) -> dict[str, Any]:
    scaled = np.abs(values) * np.exp2(np.asarray(fracs, dtype=np.float64))
    exponents = np.clip(np.frexp(scaled[scaled > 0])[1], LOWEST, bits + ABOVE) - LOWEST
    return {
        "bits": bits,
        "zeros": int((scaled == 0).sum()),
        "first": LOWEST,
        "counts": np.bincount(exponents, minlength=bits + ABOVE - LOWEST + 1).tolist(),
    }
