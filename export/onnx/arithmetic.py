"""The program's integer arithmetic in ONNX operations; ``program/arithmetic.py`` is the definition.

Signed ``BitShift`` does not exist in ONNX and ``Div`` truncates towards zero, so shifts go through an offset that
makes the dividend positive, or clear the lower bits first. The bounds checked at lowering (below 2**30 in int32, 2**52
in int64) leave the room.
``Clip``, ``Min`` and ``Max`` are kept to int32: in int64, released versions of onnxruntime (1.31 among them) and
OpenVINO return wrong values beyond 2**31. Comparisons and ``Where`` are exact.
"""

from __future__ import annotations

import numpy as np

from ...program.bounds import dot_bound
from ...program.formats import Format
from .graph import Graph
from .opset import BITWISE

FLOAT32_LIMIT = 1 << 24
"""float32 holds integers below it."""

OFFSET_BITS = {np.dtype(np.int32): 30, np.dtype(np.int64): 62}


def edge_dtype(format: Format) -> np.dtype:
    """The element type of an edge: int32 where its codes fit, else int64."""
    return np.dtype(np.int32 if format.min >= -(1 << 31) and format.max < 1 << 31 else np.int64)


def accumulator_dtype(register: str) -> np.dtype:
    """int32 or int64 from ``"i32"`` or ``"i64"``."""
    return np.dtype({"i32": np.int32, "i64": np.int64}[register])


def shift_left(graph: Graph, tensor: str, shift: int | np.ndarray) -> str:
    """``tensor * 2**shift``, exact; ``shift`` >= 0 broadcasts against the last axis."""
    shifts = _uniform(shift)
    if not shifts.any():
        return tensor
    return graph.op("Mul", tensor, graph.like(_powers(shifts), tensor))


def shift_half_up(graph: Graph, tensor: str, shift: int | np.ndarray, bias: int | np.ndarray = 0) -> str:
    """``floor((tensor + bias) / 2**shift + 1/2)``; negative shifts are exact left shifts.

    ``shift`` and ``bias`` broadcast against the last axis. ``|tensor| + |bias|`` plus the half unit stays below 2**30
    (2**52).
    """
    shifts = _uniform(shift)
    left, right = np.maximum(-shifts, 0), np.maximum(shifts, 0)
    added = np.asarray(bias).astype(np.int64) * _powers(left) + _powers(right) // 2
    return floor_shift(graph, shift_left(graph, tensor, left), right, added)


def floor_shift(
    graph: Graph, tensor: str, shift: int | np.ndarray, added: int | np.ndarray = 0, bound: int | None = None
) -> str:
    """``floor((tensor + added) / 2**shift)``; ``shift`` and ``added`` broadcast against the last axis."""
    tensor, rest = raised_shift(graph, tensor, shift, added, bound)
    return graph.op("Sub", tensor, graph.like(rest, tensor)) if rest.any() else tensor


def raised_shift(
    graph: Graph, tensor: str, shift: int | np.ndarray, added: int | np.ndarray = 0, bound: int | None = None
) -> tuple[str, np.ndarray]:
    """``floor((tensor + added) / 2**shift) + rest``, and the rest, which further sums may take off with their constant.

    ``Div`` truncates. From operator set 18 on the lower bits are cleared before it; before, an offset makes the
    dividend positive: a power of two above ``bound``, that of ``|tensor + added|``. The smaller numbers are, the more
    runtimes are exact: some divide in float32.
    """
    shifts, more = _uniform(shift), _uniform(added)
    powers, none = _powers(shifts), np.zeros((), dtype=np.int64)
    if not shifts.any():
        return (graph.op("Add", tensor, graph.like(more, tensor)) if more.any() else tensor), none
    if graph.opset >= BITWISE:
        total = graph.op("Add", tensor, graph.like(more, tensor)) if more.any() else tensor
        if bound is None or bound >= FLOAT32_LIMIT << int(shifts.min()):
            graph.beyond_float32.add(graph.scope)
        cleared = graph.op("BitwiseAnd", total, graph.like(-powers, tensor))
        return graph.op("Div", cleared, graph.like(powers, tensor)), none
    most = OFFSET_BITS[graph.dtypes[tensor]]
    bits = most if bound is None else max(bound.bit_length(), int(shifts.max()))
    if 2 << bits > FLOAT32_LIMIT:
        graph.beyond_float32.add(graph.scope)
    raised = graph.op("Add", tensor, graph.like((1 << bits) + more, tensor))
    return graph.op("Div", raised, graph.like(powers, tensor)), _powers(bits - shifts)


def split_bits(graph: Graph, tensor: str, bits: int) -> tuple[str, str]:
    """The lower ``bits`` bits, a number from 0 up, and ``floor(tensor / 2**bits)``; written once for both."""
    key = f"{tensor}/lower_{bits}"
    if key not in graph.halves:
        kind, constant = ("BitwiseAnd", (1 << bits) - 1) if graph.opset >= BITWISE else ("Mod", 1 << bits)
        low = graph.op(kind, tensor, graph.like(constant, tensor))
        high = graph.op("Div", graph.op("Sub", tensor, low), graph.like(1 << bits, tensor))
        graph.halves[key] = (low, high)
    return graph.halves[key]


def at_most(graph: Graph, tensor: str, limit: int) -> str:
    """``min(tensor, limit)``."""
    return _limit(graph, tensor, limit, "Min", "Greater")


def at_least(graph: Graph, tensor: str, limit: int) -> str:
    """``max(tensor, limit)``."""
    return _limit(graph, tensor, limit, "Max", "Less")


def saturate(graph: Graph, tensor: str, format: Format, bound: int | None = None) -> str:
    """Clip to ``format`` and give the edge's element type. Where a ``bound`` of ``|tensor|`` allows, in int32."""
    if bound is not None and bound < 1 << 31:
        tensor = graph.cast(tensor, np.int32)
    dtype = graph.dtypes[tensor]
    limits = np.iinfo(dtype)
    low, high = max(format.min, limits.min), min(format.max, limits.max)
    if (low, high) != (limits.min, limits.max):
        if dtype == np.int32:
            tensor = graph.op("Clip", tensor, graph.like(low, tensor), graph.like(high, tensor))
        else:
            tensor = at_most(graph, at_least(graph, tensor, low), high)
    return graph.cast(tensor, edge_dtype(format))


def floor_divide(graph: Graph, numerator: str, denominator: str) -> str:
    """``floor(numerator / denominator)`` for a positive denominator: negative numerators are lowered first."""
    negative = graph.op("Less", numerator, graph.like(0, numerator))
    lowered = graph.op("Sub", graph.op("Sub", numerator, denominator), graph.like(-1, numerator))
    return graph.op("Div", graph.op("Where", negative, lowered, numerator), denominator)


def rounded_divide(graph: Graph, numerator: str, denominator: str) -> str:
    """``floor((2 p + q) / (2 q))`` for q >= 1, which the caller sees to."""
    two = graph.like(2, numerator)
    doubled = graph.op("Add", graph.op("Mul", numerator, two), denominator)
    return floor_divide(graph, doubled, graph.op("Mul", denominator, two))


def matmul(graph: Graph, tensor: str, format: Format, weight: np.ndarray, dtype: np.dtype) -> str:
    """``W x`` exactly, in ``dtype``. Shapes: tensor (B, in), weight (out, in) -> (B, out), or (out,) for a diagonal.

    Eight-bit operands go through ``MatMulInteger`` with zero points: as uint8 x uint8, or uint8 x int8 where a pair of
    products fits 16 bits, as of spikes; CPUs without VNNI saturate larger pairs. Wider operands go through an integer
    ``MatMul``. The bounds of the node promise that the sums fit ``dtype``.
    """
    if weight.ndim == 1:
        return graph.op("Mul", graph.cast(tensor, dtype), graph.constant(weight, dtype))
    bound = max(dot_bound(weight, format.magnitude))
    if bound >= FLOAT32_LIMIT:
        graph.beyond_float32.add(graph.scope)
    narrow = format.width <= 8 and np.abs(weight.astype(np.int64)).max(initial=0) <= 127
    if narrow and bound < 1 << 31:
        return graph.cast(_matmul_bytes(graph, tensor, format, weight), dtype)
    return graph.op("MatMul", graph.cast(tensor, dtype), graph.constant(weight.T, dtype))


def integer_sqrt(graph: Graph, tensor: str, low: int, high: int) -> str:
    """``floor(sqrt(tensor))`` for int64 values in ``[low, high]``, 1 <= low, high < 2**52; shape (B, 1).

    A table of 64 starting values, geometrically spaced and above the roots, then Newton steps ``(r + t // r) // 2``.
    These never fall below the root, and their relative error e becomes at most ``e**2 / (2 (1 + e))``; once it proves
    r <= root + 1, one comparison removes the last unit.
    """
    high = max(high, 2 * low)  # two starting values at least: onnxruntime reduces an empty axis wrongly
    ratio = (high / low) ** (1 / 64)
    starts = np.unique(np.ceil(low * ratio ** np.arange(64)).astype(np.int64))
    ends = np.sqrt(np.append(starts[1:], max(high, starts[-1])).astype(np.float64))
    guesses = np.ceil(ends).astype(np.int64) + 1
    passed = graph.cast(graph.op("GreaterOrEqual", tensor, graph.like(starts[1:], tensor)), np.int64)
    index = graph.op("ReduceSum", passed, graph.constant([-1], np.int64), keepdims=1)
    root = graph.op("Gather", graph.constant(guesses, np.int64), index, dtype=np.int64)
    error = guesses / np.sqrt(starts.astype(np.float64)) - 1
    while np.any(error * ends >= 0.5):
        total = graph.op("Add", root, graph.op("Div", tensor, root))
        root = graph.op("Div", total, graph.like(2, total))
        error = error * error / (2 * (1 + error))
    above = graph.op("Greater", graph.op("Mul", root, root), tensor)
    return graph.op("Sub", root, graph.cast(above, np.int64))


def _matmul_bytes(graph: Graph, tensor: str, format: Format, weight: np.ndarray) -> str:
    if format.min:
        tensor = graph.op("Add", tensor, graph.like(-format.min, tensor))
    codes, zero = graph.cast(tensor, np.uint8), graph.constant(-format.min, np.uint8)
    if 2 * 127 * (format.max - format.min) < 1 << 15:
        return graph.op("MatMulInteger", codes, graph.constant(weight.T, np.int8), zero, dtype=np.int32)
    raised = graph.constant(weight.T.astype(np.int64) + 128, np.uint8)
    return graph.op("MatMulInteger", codes, raised, zero, graph.constant(128, np.uint8), dtype=np.int32)


def _limit(graph: Graph, tensor: str, limit: int, direct: str, beyond: str) -> str:
    bound = graph.like(limit, tensor)
    if graph.dtypes[tensor] == np.int32:
        return graph.op(direct, tensor, bound)
    return graph.op("Where", graph.op(beyond, tensor, bound), bound, tensor)


def _uniform(shift: int | np.ndarray) -> np.ndarray:
    """One number where all are the same: scalars broadcast faster."""
    shifts = np.asarray(shift, dtype=np.int64)
    return shifts.reshape(-1)[0, ...] if shifts.size and (shifts == shifts.flat[0]).all() else shifts


def _powers(shift: int | np.ndarray) -> np.ndarray:
    return np.left_shift(np.int64(1), np.asarray(shift, dtype=np.int64))
