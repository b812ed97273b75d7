"""Vectors as a type of numba: each function and operator is a vector instruction of LLVM; see `plain` for meanings."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from .plain import LANES
from .registers import REGISTER_BITS

I32, I64 = ir.IntType(32), ir.IntType(64)


class Vector(types.Type):
    """LANES entries of a type of numba: integers, float64, or booleans for masks."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"vector of {LANES} {dtype}")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, _vector(vector.dtype))


MASK = Vector(types.boolean)
REAL = Vector(types.float64)


def _entry(dtype: Any) -> ir.Type:
    if dtype == types.boolean:
        return ir.IntType(1)
    return ir.DoubleType() if dtype == types.float64 else ir.IntType(dtype.bitwidth)


def _vector(dtype: Any) -> ir.VectorType:
    return ir.VectorType(_entry(dtype), LANES)


def _operator(operation: Any, whole: str, real: str, compared: bool = False) -> None:
    """``a operation b`` of two vectors of one type, by the named method of llvmlite's builder."""

    @infer_global(operation)
    class _Typed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:
                return signature(MASK if compared else args[0], *args)
            return None

    @lower_builtin(operation, Vector, Vector)
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        name = real if sig.args[0] == REAL else whole
        if compared:
            how = {operator.ne: "!=", operator.gt: ">", operator.ge: ">="}[operation]
            return getattr(builder, name)(how, *args)
        return getattr(builder, name)(*args)


_operator(operator.add, "add", "fadd")
_operator(operator.sub, "sub", "fsub")
_operator(operator.mul, "mul", "fmul")
_operator(operator.lshift, "shl", "")
_operator(operator.rshift, "ashr", "")
_operator(operator.ne, "icmp_signed", "fcmp_unordered", compared=True)
_operator(operator.gt, "icmp_signed", "fcmp_ordered", compared=True)
_operator(operator.ge, "icmp_signed", "fcmp_ordered", compared=True)


def data(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The pointer to an array's first entry."""
    return context.make_array(array_type)(context, builder, array).data


def place(context: Any, builder: Any, array_type: Any, array: Any, at: Any, held: ir.Type) -> tuple[Any, int]:
    """The pointer to an array's entry ``at``, as one to ``held``, and the alignment of entries in bytes."""
    pointer = builder.gep(data(context, builder, array_type, array), [at])
    return builder.bitcast(pointer, held.as_pointer()), array_type.dtype.bitwidth // 8


def spread(builder: Any, number: Any, lanes: int = LANES) -> Any:
    """A number in every lane."""
    empty = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(empty, number, I32(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(I32, lanes), [0] * lanes))


def resized(builder: Any, value: Any, to: ir.Type) -> Any:
    """An integer, or vector of them, in as many bits as ``to`` has."""
    have, want = (getattr(kind, "element", kind).width for kind in (value.type, to))
    if have == want:
        return value
    return builder.sext(value, to) if have < want else builder.trunc(value, to)


def _within(builder: Any, count: Any, bits: int = 32) -> Any:
    """The mask of the first ``count`` entries."""
    kind = ir.IntType(bits)
    lanes = ir.Constant(ir.VectorType(kind, LANES), list(range(LANES)))
    most = builder.select(builder.icmp_signed("<", count, I64(LANES)), count, I64(LANES))
    return builder.icmp_signed("<", lanes, spread(builder, resized(builder, most, kind)))


@intrinsic
def part(typingctx: Any, array: Any, start: Any) -> tuple[Any, Callable[..., Any]]:
    """The array from ``start`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        view = context.make_array(sig.args[0])(context, builder, args[0])
        view.data = builder.gep(view.data, [args[1]])
        return view._getvalue()

    return array(array, types.int64), codegen


@intrinsic
def load(typingctx: Any, array: Any, at: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    """The entries from ``at`` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, align = place(context, builder, sig.args[0], args[0], args[1], _vector(array.dtype))
        return resized(builder, builder.load(pointer, align=align), _vector(like.dtype))

    return Vector(like.dtype)(array, types.int64, like), codegen


@intrinsic
def store(typingctx: Any, array: Any, at: Any, vector: Any, count: Any) -> tuple[Any, Callable[..., Any]]:
    """Write the first entries."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        held = _vector(array.dtype)
        value = resized(builder, args[2], held)
        pointer, align = place(context, builder, sig.args[0], args[0], args[1], held)
        whole = builder.icmp_signed(">=", args[3], I64(LANES))
        with builder.if_else(whole, likely=True) as (full, tail):
            with full:
                builder.store(value, pointer, align=align)
            with tail:
                kept = cgutils.alloca_once_value(builder, value)
                first = builder.bitcast(kept, held.element.as_pointer())
                base = builder.bitcast(pointer, held.element.as_pointer())
                with cgutils.for_range(builder, args[3]) as loop:
                    entry = builder.load(builder.gep(first, [loop.index]))
                    builder.store(entry, builder.gep(base, [loop.index]), align=align)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector, types.int64), codegen


@intrinsic
def splat(typingctx: Any, number: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    """The same number in each lane."""
    given = types.float64 if like.dtype == types.float64 else types.int64

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if given == types.float64:
            return spread(builder, args[0])
        return spread(builder, resized(builder, args[0], _entry(like.dtype)))

    return Vector(like.dtype)(given, like), codegen


@intrinsic
def tally(typingctx: Any, mask: Any, count: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    """1 where the mask is true."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        inside = builder.and_(args[0], _within(builder, args[1]))
        return builder.zext(inside, _vector(like.dtype))

    return Vector(like.dtype)(mask, types.int64, like), codegen


@intrinsic
def first(typingctx: Any, vector: Any, count: Any) -> tuple[Any, Callable[..., Any]]:
    """The first entries."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        nothing = ir.Constant(_vector(vector.dtype), [0] * LANES)
        return builder.select(_within(builder, args[1]), args[0], nothing)

    return vector(vector, types.int64), codegen


@intrinsic
def cast(typingctx: Any, vector: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    """The entries in another type."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return resized(builder, args[0], _vector(like.dtype))

    return Vector(like.dtype)(vector, like), codegen


@intrinsic
def squeeze(typingctx: Any, mask: Any, count: Any, number: Any, places: Any, at: Any) -> tuple[Any, Callable[..., Any]]:
    """Where registers are longest there is an instruction for it; elsewhere an entry is written, then kept or not."""
    entry = ir.IntType(places.dtype.bitwidth)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer, align = place(context, builder, sig.args[3], args[3], args[4], entry)
        taken = builder.and_(args[0], _within(builder, args[1]))
        base = resized(builder, args[2], entry)
        if REGISTER_BITS == 512:
            kind = ir.VectorType(entry, LANES)
            found = builder.add(spread(builder, base), ir.Constant(kind, list(range(LANES))))
            function = ir.FunctionType(ir.VoidType(), [kind, entry.as_pointer(), taken.type])
            name = f"llvm.masked.compressstore.v{LANES}i{entry.width}"
            builder.call(cgutils.get_or_insert_function(builder.module, function, name), [found, pointer, taken])
            bits = builder.bitcast(taken, ir.IntType(LANES))
            return builder.zext(builder.ctpop(bits), I64)
        written = I64(0)
        for lane in range(LANES):
            builder.store(builder.add(base, entry(lane)), builder.gep(pointer, [written]), align=align)
            written = builder.add(written, builder.zext(builder.extract_element(taken, I32(lane)), I64))
        return written

    return types.int64(mask, types.int64, types.int64, places, types.int64), codegen


@intrinsic
def total(typingctx: Any, vector: Any) -> tuple[Any, Callable[..., Any]]:
    """The sum of all entries."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = resized(builder, args[0], _vector(types.int64))
        kind = ir.FunctionType(I64, [value.type])
        reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.add.v{LANES}i64")
        return builder.call(reduce, [value])

    return types.int64(vector), codegen


@intrinsic
def add_saturating(typingctx: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
    """``a + b``, at the ends of the type."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        held = _vector(a.dtype)
        name = f"llvm.sadd.sat.v{LANES}i{a.dtype.bitwidth}"
        add = cgutils.get_or_insert_function(builder.module, ir.FunctionType(held, [held, held]), name)
        return builder.call(add, args)

    return a(a, b), codegen


def _lesser_or_greater(sign: str) -> Callable[..., Any]:
    @intrinsic
    def chosen(typingctx: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            compare = builder.fcmp_ordered if sig.args[0] == REAL else builder.icmp_signed
            return builder.select(compare(sign, *args), *args)

        return a(a, b), codegen

    return chosen


minimum, maximum = _lesser_or_greater("<"), _lesser_or_greater(">")


@intrinsic
def choose(typingctx: Any, mask: Any, a: Any, b: Any) -> tuple[Any, Callable[..., Any]]:
    """Entries of one or the other."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return a(mask, a, b), codegen


@intrinsic
def gather(typingctx: Any, array: Any, at: Any, places: Any, count: Any) -> tuple[Any, Callable[..., Any]]:
    """Of int16, 32 bits are fetched an entry, of which the upper half is dropped: processors gather no fewer."""
    fetched = max(32, array.dtype.bitwidth)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        entry = ir.IntType(array.dtype.bitwidth)
        base, align = place(context, builder, sig.args[0], args[0], args[1], entry)
        held = ir.VectorType(ir.IntType(fetched), LANES)
        pointers = builder.gep(base, [resized(builder, args[2], _vector(types.int64))], source_etype=entry)
        pointers.type = ir.VectorType(ir.PointerType(), LANES)  # llvmlite takes the result for a single pointer
        mask, nothing = _within(builder, args[3]), ir.Constant(held, [0] * LANES)
        kind = ir.FunctionType(held, [pointers.type, I32, mask.type, held])
        name = f"llvm.masked.gather.v{LANES}i{fetched}.v{LANES}p0"
        fetch = cgutils.get_or_insert_function(builder.module, kind, name)
        found = builder.call(fetch, [pointers, I32(align), mask, nothing])
        if array.dtype.bitwidth < fetched:
            drop = ir.Constant(held, [fetched - array.dtype.bitwidth] * LANES)
            found = builder.ashr(builder.shl(found, drop), drop)
        return resized(builder, found, _vector(places.dtype))

    return places(array, types.int64, places, types.int64), codegen


@intrinsic
def reals(typingctx: Any, vector: Any) -> tuple[Any, Callable[..., Any]]:
    """Integers as float64."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.sitofp(args[0], _vector(types.float64))

    return REAL(vector), codegen


@intrinsic
def integers(typingctx: Any, vector: Any, like: Any) -> tuple[Any, Callable[..., Any]]:
    """Whole numbers of float64 as integers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fptosi(args[0], _vector(like.dtype))

    return Vector(like.dtype)(vector, like), codegen


@intrinsic
def floor(typingctx: Any, vector: Any) -> tuple[Any, Callable[..., Any]]:
    """Down to whole numbers."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(args[0].type, [args[0].type])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f64")
        return builder.call(function, [args[0]])

    return vector(vector), codegen
