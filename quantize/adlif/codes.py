"""Exponents and codes of a network's weights and constants, in float64, each computed once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...program.formats import Format
from ...program.nodes import SPIKES
from ...program.nodes.neurons import ORDERS
from ..codes import SPARE_BITS, Floats, largest_frac, rounded
from ..config import Widths
from ..exponents import row_fracs, useful_frac
from .fold import FoldedCell, FoldedReadout
from .formats import CellFormats, CellFracs, ReadoutFracs

DECAYS = ("alpha", "beta")
Codes = NDArray[np.int64]


def cell_fracs(folded: FoldedCell[Floats], formats: CellFormats, widths: Widths, method: str) -> CellFracs:
    """Exponents of a layer from its folded weights (float64 arrays).

    None is finer than what could still move a rounded potential or adaptation.
    """
    u, w = formats.potential, formats.adaptation or formats.potential
    driving = max(u, w, key=_range)
    limits = {
        "alpha": useful_frac(u, u),
        "rise": 0 if np.all(folded.rise == 1) else useful_frac(driving, u),  # a code of 1 multiplies nothing
        "beta": useful_frac(w, w),
        "coupling": useful_frac(u, w),
        "jump": w.frac + SPARE_BITS,
    }
    highest = (1 << (widths.constant - 1)) - 1
    inputs = row_fracs(folded.input, widths.synapses, method, useful_frac(formats.input, u))
    back = inputs + formats.input.frac  # without V: that of the sum
    if folded.recurrent.shape[1]:
        back = row_fracs(folded.recurrent, widths.synapses, method, useful_frac(SPIKES, u))
    return CellFracs(
        input=inputs,
        recurrent=back,
        constants={
            name: min(constant_frac(values, highest), limits[name]) for name, values in folded.constants.items()
        },
    )


def readout_fracs(folded: FoldedReadout[Floats], output: Format, widths: Widths, method: str) -> ReadoutFracs:
    """Exponents of the read-out from its folded weights (float64 arrays)."""
    highest = (1 << (widths.constant - 1)) - 1
    decay = min(constant_frac(folded.decay, highest), useful_frac(output, output))
    weight = row_fracs(folded.weight, widths.decoder, method, useful_frac(SPIKES, output))
    # A row of zeros has no exponent of its own: it takes one that needs no shift, however small the potentials are.
    weight = np.where(folded.weight.any(axis=1), weight, decay + output.frac - SPIKES.frac)
    return ReadoutFracs(weight=weight, decay=decay)


def constant_frac(values: Floats, highest: int) -> int:
    """The most fractional bits with which all of ``values`` round to codes of at most ``highest``."""
    return int(largest_frac(float(values.max()), highest, highest.bit_length()))


def constant_codes(values: Floats, frac: int, width: int) -> Codes:
    """Codes of non-negative constants, (n,)."""
    return np.clip(rounded(np.ldexp(values, frac)), 0, (1 << (width - 1)) - 1).astype(np.int64)


def decay_codes(values: Floats, frac: int, width: int) -> Codes:
    """Codes of decays, (n,): they stay below 1, so that what decays goes on to decay, and 1 where nothing does."""
    one = 1 << max(frac, 0)
    return np.where(values < 1, np.minimum(constant_codes(values, frac, width), one - 1), one)


def cell_codes(folded: FoldedCell[Floats], order: str, fracs: CellFracs, width: int) -> dict[str, Codes]:
    """Codes of a layer's constants, (H,) each.

    Where rounding made a neuron unstable that is stable in floats, its coupling is the largest stable one.
    """
    codes = {}
    for name, values in folded.constants.items():
        make = decay_codes if name in DECAYS else constant_codes
        codes[name] = make(values, fracs.constants[name], width)
    if order in ORDERS:
        exact = folded.constants
        unstable = exact["rise"] * exact["coupling"] >= stability_limit(order, exact["alpha"], exact["beta"], 1)
        highest = _stable_coupling(order, codes, fracs.constants)
        codes["coupling"] = np.where(unstable, codes["coupling"], np.minimum(codes["coupling"], highest))
    return codes


def stability_limit(order: str, alpha: NDArray[Any], beta: NDArray[Any], one: int) -> NDArray[Any]:
    """What ``rise coupling`` has to stay below (Baronig et al. 2024), in units of ``one**2``.

    Order "se": (1 + alpha) (1 + beta); "ef": 1 - alpha beta. alpha and beta in units of ``one``.
    """
    return (one + alpha) * (one + beta) if order == "se" else one * one - alpha * beta


def _stable_coupling(order: str, codes: dict[str, Codes], fracs: dict[str, int]) -> Codes:
    """The largest code of each neuron's coupling that is stable, (H,); exact."""
    one = 1 << max(fracs["alpha"], fracs["beta"], 0)
    alpha, beta = (codes[name].astype(object) * one >> fracs[name] for name in DECAYS)
    rise = np.maximum(codes["rise"], 1).astype(object)
    unit = 1 << max(fracs["rise"] + fracs["coupling"], 0)
    largest = -(-stability_limit(order, alpha, beta, one) * unit // (rise * one * one)) - 1
    return np.clip(largest, 0, np.iinfo(np.int64).max).astype(np.int64)


def threshold_codes(threshold: float, potential: Format, neurons: int) -> Codes:
    """The threshold at the potential's bits, (H,): rounded down, as ``u > threshold`` then asks the same of codes."""
    return np.full(neurons, int(np.floor(np.ldexp(threshold, potential.frac))), dtype=np.int64)


def _range(format: Format) -> int:
    return format.width - format.frac
