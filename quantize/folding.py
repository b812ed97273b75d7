"""Folded weights: what the nodes of a program hold, before quantization.

A family folds its float layers into named tuples of tensors (differentiable, in the model's own float type, for
fine-tuning) or, for derivation, of float64 arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PumiceError

Array = TypeVar("Array")
"""Of a folded weight: a tensor, or an array."""


def arrays_of(folded: Mapping[str, Tensor | None], owner: str) -> dict[str, Any]:
    """The same as float64 (complex128) arrays; None stays None.

    Raises:
        PumiceError: a weight that is not finite; names ``owner`` and the weight.
    """
    arrays: dict[str, NDArray[Any] | None] = {}
    for name, tensor in folded.items():
        if tensor is None:
            arrays[name] = None
            continue
        dtype = np.complex128 if tensor.is_complex() else np.float64
        array = arrays[name] = tensor.detach().cpu().resolve_conj().numpy().astype(dtype)
        if not np.isfinite(array).all():
            raise PumiceError(f"{owner} '{name}' holds NaN or infinity; train the model again")
    return arrays
