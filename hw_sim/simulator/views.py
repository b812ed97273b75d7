"""Views that own nothing, for compiled functions that slice arrays thousands of times an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils
from numba.extending import intrinsic


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
