"""Views for compiled functions that slice arrays thousands of times an event, and their plain forms.

With NUMBA_DISABLE_JIT=1 the machine runs as Python, for debugging: intrinsics have no such form of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.unsafe.ndarray import to_fixed_tuple

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def unowned_view(array: np.ndarray) -> np.ndarray:
        """The array itself."""
        return array

    def fields(record: np.ndarray, count: int) -> Any:
        """The first ``count`` entries."""
        return tuple(record[:count].tolist())

else:
    fields = to_fixed_tuple  # type: ignore[assignment]

    @intrinsic
    def unowned_view(typingctx: Any, array: Any) -> tuple[Any, Callable[..., Any]]:
        """The same array without an owner: slices of it count no references (an atomic add and subtract each).

        The caller must keep the original alive for as long as the result, and its slices, are used.
        """

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            view = context.make_array(array)(context, builder, arguments[0])
            view.meminfo = cgutils.get_null_value(view.meminfo.type)
            view.parent = cgutils.get_null_value(view.parent.type)
            return view._getvalue()

        return array(array), codegen
