"""What may be given as tokens, times or values: one rule for every backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ProgramError


def integers(what: str, given: Any) -> np.ndarray:
    """``given`` as int64, of any shape; an empty array may have any type.

    Raises:
        ProgramError: masked entries, a type other than integers (booleans and objects are none), or a number above
            64 signed bits; begins with ``what``.
    """
    array = _array(what, given)
    if array.dtype.kind not in "iu" and array.size:
        raise ProgramError(f"{what} are {array.dtype}; give integers")
    if array.dtype.kind == "u" and array.size and int(array.max()) >= 1 << 63:
        place = int(np.argmax(array.reshape(-1)))
        raise ProgramError(f"{what} reach {int(array.max())} at entry {place}, beyond 64 signed bits; correct the file")
    return array.astype(np.int64)


def reals(what: str, given: Any) -> np.ndarray:
    """``given`` as float64, of any shape; booleans, such as spikes, are 0 and 1.

    Raises:
        ProgramError: masked entries, or a type other than real numbers; begins with ``what``.
    """
    array = _array(what, given)
    if array.dtype.kind not in "iufb" and array.size:
        raise ProgramError(f"{what} are {array.dtype}; give real numbers")
    return array.astype(np.float64)


def _array(what: str, given: Any) -> np.ndarray:
    if np.ma.is_masked(given):
        place = int(np.argmax(np.ma.getmaskarray(given).reshape(-1)))
        raise ProgramError(f"{what} are masked at entry {place}; fill in or leave out what is masked")
    try:
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors that numpy cannot read
        raise ProgramError(f"{what} are no array of numbers ({str(error).splitlines()[0]}); give one") from None
