"""How the machine calls operations: by address, so that a program compiles and loads only those that it uses.

An operation takes the place of its record and five arenas: ``x``, ``y``, ``z`` in the types that its record names, then
a32 and a64. Compiled, all are addresses; with NUMBA_DISABLE_JIT=1 they are the arrays, and a record's address is the
place of its operation in a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core.typing import signature
from numba.extending import intrinsic

from ..arenas import A8, A16, A32, A64
from ..compiled import compiled, kernel
from ..vectors import part

_ENDLESS = 1 << 40
"""The length of arrays that are known by their address alone."""

_TYPES = {A8: types.int8, A16: types.int16, A32: types.int32, A64: types.int64}

if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
    _CALLED: list[Callable[..., None]] = []

    def operation(function: Callable[..., None]) -> Callable[..., None]:
        """An operation of the machine."""
        return function

    def address(function: Callable[..., None], arenas: tuple[int, int, int]) -> int:
        """Where the machine finds an operation on these types."""
        if function not in _CALLED:
            _CALLED.append(function)
        return _CALLED.index(function)

    def bases(a16: np.ndarray, a32: np.ndarray, a64: np.ndarray) -> tuple[Any, ...]:
        """The arenas by number."""
        return a16, a32, a64, a16.view(np.int8)

    def packed(*arrays: np.ndarray) -> Any:
        """What `unpacked` makes arrays of: a16, a32, a64, tokens, times, dense values, out; times tell how many."""
        return arrays

    def unpacked(pack: Any) -> tuple[Any, ...]:
        """The arrays, and the number of events."""
        return *pack, len(pack[4])

    def call(code: int, at: int, x: Any, y: Any, z: Any, a32: Any, a64: Any) -> None:
        """Run the record at ``at``."""
        _CALLED[code](at, x, y, z, a32, a64)

    def opened(at: int, x: Any, y: Any, z: Any, a32: Any, a64: Any) -> tuple[Any, ...]:
        """An operation's record, and its arenas as arrays."""
        return a64[at:], x, y, z, a32, a64

    def fields(record: np.ndarray, start: int, count: int) -> Any:
        """Fields of a record."""
        return tuple(record[start : start + count].tolist())

else:

    def operation(function: Callable[..., None]) -> Callable[..., None]:
        """An operation of the machine, compiled for the types that are asked for, when they are."""
        return compiled(function, no_cpython_wrapper=True)

    def address(function: Any, arenas: tuple[int, int, int]) -> int:
        """Where the machine finds an operation on these types."""
        kinds = (types.int64, *(types.CPointer(_TYPES[arena]) for arena in (*arenas, A32, A64)))
        function.compile(kinds)
        result = function.overloads[kinds]
        return int(result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name))

    @intrinsic
    def _start(typingctx: Any, array: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = context.make_array(sig.args[0])(context, builder, args[0]).data
            return builder.ptrtoint(pointer, ir.IntType(64))

        return types.int64(array), codegen

    @kernel
    def bases(a16, a32, a64):
        """The arenas by number."""
        return _start(a16), _start(a32), _start(a64), _start(a16)

    def packed(*arrays: np.ndarray) -> Any:
        """What `unpacked` makes arrays of: a16, a32, a64, tokens, times, dense values, out; times tell how many.

        One array of addresses, since numba looks at every argument of every call. Whoever calls keeps the arrays alive.
        """
        return np.array([*(array.ctypes.data for array in arrays), len(arrays[4])], dtype=np.int64)

    @kernel
    def unpacked(pack):
        """The arrays, and the number of events."""
        a16, a32, a64 = _at(pack[0], np.int16(0)), _at(pack[1], np.int32(0)), _at(pack[2], np.int64(0))
        tokens, times, out = _at(pack[3], np.int64(0)), _at(pack[4], np.int64(0)), _at(pack[6], np.int64(0))
        return a16, a32, a64, tokens, times, _at(pack[5], np.float64(0)), out, pack[7]

    @kernel
    def _at(start, entry):
        return carray(_pointer(start, entry), (_ENDLESS,))

    @intrinsic
    def _pointer(typingctx: Any, start: Any, entry: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return types.CPointer(entry)(types.int64, entry), codegen

    @intrinsic
    def call(typingctx: Any, code: Any, at: Any, x: Any, y: Any, z: Any, a32: Any, a64: Any) -> Any:
        """Run the record at ``at``."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = ir.IntType(8).as_pointer()
            kind = ir.FunctionType(pointer, [ir.IntType(64), *[pointer] * 5])
            function = builder.inttoptr(args[0], kind.as_pointer())
            builder.call(function, [args[1], *(builder.inttoptr(base, pointer) for base in args[2:])])
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 7), codegen

    @kernel
    def opened(at, x, y, z, a32, a64):
        """An operation's record, and its arenas as arrays."""
        whole = carray(a64, (_ENDLESS,))
        first, second, third = carray(x, (_ENDLESS,)), carray(y, (_ENDLESS,)), carray(z, (_ENDLESS,))
        return part(whole, at), first, second, third, carray(a32, (_ENDLESS,)), whole

    @intrinsic(prefer_literal=True)
    def fields(typingctx: Any, record: Any, start: Any, count: Any) -> Any:
        """Fields of a record; ``count`` is a constant."""
        found = types.UniTuple(types.int64, count.literal_value)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            pointer = builder.gep(context.make_array(record)(context, builder, args[0]).data, [args[1]])
            places = (builder.gep(pointer, [ir.IntType(64)(number)]) for number in range(count.literal_value))
            return context.make_tuple(builder, found, [builder.load(place) for place in places])

        return found(record, types.int64, count), codegen
