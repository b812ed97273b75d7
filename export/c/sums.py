"""Exact sums of matrix products, rounded once: by rows, or input by input where most inputs are 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...program.bounds import dot_bound
from ...program.formats import Format
from .arrays import Array
from .block import Block, repeated
from .sparse import Sparse, index_type, without_zeros
from .types import U8, CType, literal, of_bound, of_width

UNROLLED = 4
"""Products of a turn of the innermost loop: what a small processor spends on the turn itself is shared by them."""
WORTH = 0.75
"""The share of a matrix' bytes that it takes at most without its zeros: short rows are no slower then either."""


@dataclass(frozen=True)
class Product:
    """One operand of a sum.

    Attributes:
        what: the name of its matrix.
        codes: (rows, inputs), or (rows,) of a diagonal matrix.
        width: bits a code.
        source: a local pointer to the input.
        format: of the input's codes.
        shift: left shifts to the sum, (rows,) or one for all.
        scale: what takes the place of that shift: ``(product, row)`` to what is added.
        counts: whether the input counts spikes.
    """

    what: str
    codes: np.ndarray
    width: int
    source: Array
    format: Format
    shift: np.ndarray | int = 0
    scale: Callable[[str, str], str] | None = None
    counts: bool = False

    @property
    def by_input(self) -> bool:
        """Whether most inputs are 0: spikes and their counts."""
        return self.codes.ndim == 2 and (self.counts or self.format.width == 1)

    @property
    def register(self) -> CType:
        """What the products' own sum needs."""
        return of_bound(max(dot_bound(self.codes, self.format.magnitude), default=0))


def exact_sum(
    block: Block,
    register: CType,
    bias: np.ndarray,
    products: Sequence[Product],
    finish: Callable[[str, str], Sequence[str]],
) -> None:
    """For every row r, ``total = bias[r] + sum of the products``, then the statements ``finish("total", "r")``.

    All products that go input by input are summed before the first row is finished, so that ``finish`` may change
    what they read; products by rows have to read something else.
    """
    rows, body, terms = len(bias), list[str](), list[str]()
    for number, product in enumerate(products):
        scaled = product.scale or block.shifted_left(f"{product.what}_shift", product.shift, register)
        if product.codes.ndim == 1:
            weight = block.each(product.what, product.codes)
            own = f"({register}){weight('r')} * ({register}){product.source}[r]"
            terms.append(f"total += {scaled(own, 'r')};")
        elif product.by_input:
            sums = _by_input(block, product, f"sums{number}")
            terms.append(f"total += {scaled(_as(register, product.register, f'{sums}[r]'), 'r')};")
        else:
            body += _by_row(block, product, number)
            own = _as(register, product.register, f"dot{number}")
            terms.append(f"total += {scaled(own, 'r')};")
    start = block.each("bias", bias)("r") if np.any(bias) else "0"
    lines = [*body, f"{register} total = {start};", *terms, *finish("total", "r")]
    block.loop(rows, *lines, index="r")


def _as(wanted: CType, has: CType, value: str) -> str:
    return value if wanted == has else f"({wanted}){value}"


def _line(block: Block, product: Product, codes: np.ndarray) -> tuple[str, str, int]:
    """The table of codes (lines, entries): its name, how entry ``i`` of a line is read, entries from line to line."""
    bits = _bits(block, product)
    if not bits:
        return block.table(product.what, codes, of_width(product.width)), "{line}[{i}]", codes.shape[1]
    packed = pack(codes, bits)
    return block.table(product.what, packed, U8), block.call(f"code{bits}") + "({line}, {i})", packed.shape[1]


def _bits(block: Block, product: Product) -> int:
    return packed_bits(product.width) if block.kept.pack else 0


def _bytes(block: Block, product: Product, lines: int, entries: int) -> int:
    bits = _bits(block, product)
    return lines * (-(-entries * bits // 8) if bits else entries * of_width(product.width).bits // 8)


def _sparse(block: Block, product: Product) -> Sparse | None:
    """The lines of a matrix without their zeros, where that pays."""
    if not block.kept.sparse:
        return None
    codes = product.codes.T if product.by_input else product.codes
    found = without_zeros(codes)
    index = found.starts if product.by_input else found.counts
    taken = _bytes(block, product, 1, found.codes.size) + found.places.size + index.size * index_type(index).bits // 8
    whole = _bytes(block, product, *codes.shape)
    if taken > WORTH * whole:
        return None
    block.kept.saved[f"{block.name}_{product.what}"] = whole - taken
    return found


def packed_bits(width: int) -> int:
    """How many bits a packed code of this width takes; 0 where it has bytes of its own."""
    return 2 if width <= 2 else 4 if width <= 4 else 0


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """Codes (lines, entries) as bytes (lines, ...), from the lowest bits up; every line begins with its own byte."""
    each = 8 // bits
    lines, entries = codes.shape
    padded = np.zeros((lines, -(-entries // each) * each), dtype=np.int64)
    padded[:, :entries] = codes & ((1 << bits) - 1)
    return (padded.reshape(lines, -1, each) << (bits * np.arange(each))).sum(axis=2).astype(np.uint8)


def _by_row(block: Block, product: Product, number: int) -> list[str]:
    sparse = _sparse(block, product)
    if sparse:
        return _by_row_sparse(block, product, sparse, number)
    table, entry, step = _line(block, product, product.codes)
    register, line = product.register, f"w{number}"
    kind = U8 if _bits(block, product) else of_width(product.width)

    def added(column: str) -> str:
        code = entry.format(line=line, i=column)
        return f"dot{number} += ({register}){code} * ({register}){product.source}[{column}];"

    inputs = product.codes.shape[1]
    whole = inputs - inputs % UNROLLED
    lines = [f"const {kind} *const {line} = {table} + r * {step};", f"{register} dot{number} = 0;"]
    if whole:
        body = [added("c" if i == 0 else f"c + {i}") for i in range(UNROLLED)]
        lines += [f"for (size_t c = 0; c < {whole}; c += {UNROLLED}) {{", *(f"    {each}" for each in body), "}"]
    return [*lines, *(added(str(column)) for column in range(whole, inputs))]


def _by_row_sparse(block: Block, product: Product, sparse: Sparse, number: int) -> list[str]:
    table, entry, _ = _line(block, product, sparse.codes[None])
    places = block.table(f"{product.what}_columns", sparse.places, U8)
    counts = block.table(f"{product.what}_counts", sparse.counts, index_type(sparse.counts))
    register, k, source = product.register, f"k{number}", product.source
    block.say(f"size_t {k} = 0;")
    lines, moved, value = [f"{register} dot{number} = 0;"], [], f"{source}[{places}[{k}]]"
    if sparse.far:
        lines.append(f"const {source.ctype} *at{number} = {source};")
        moved, value = [f"    at{number} += {places}[{k}];"], f"*at{number}"
    code = entry.format(line=table, i=k)
    return [
        *lines,
        f"for (const size_t end = {k} + {counts}[r]; {k} < end; {k}++) {{",
        *moved,
        f"    dot{number} += ({register}){code} * ({register}){value};",
        "}",
    ]


def _by_input(block: Block, product: Product, name: str) -> Array:
    """Sums (rows,) of the products of all inputs that are not 0."""
    register, rows = product.register, len(product.codes)
    sums = block.scratch(name, register, rows)
    binary = product.format.width == 1 and not product.format.signed
    factor = "" if binary else f" * ({register}){product.source}[c]"
    active = _column(block, product, sums, factor)
    block.loop(rows, f"{sums}[r] = 0;", index="r")
    inside = [f"if ({product.source}[c] != {literal(0)}) {{", *(f"    {line}" for line in active), "}"]
    block.loop(product.codes.shape[1], *inside, index="c")
    return sums


def _column(block: Block, product: Product, sums: Array, factor: str) -> list[str]:
    """Statements that add column c, times the input, to the sums."""
    sparse = _sparse(block, product)
    if sparse:
        return _column_sparse(block, product, sparse, sums, factor)
    table, entry, step = _line(block, product, product.codes.T)
    kind = U8 if _bits(block, product) else of_width(product.width)
    added = f"{sums}[r] += ({product.register}){entry.format(line='w', i='r')}{factor};"
    return [f"const {kind} *const w = {table} + c * {step};", *repeated(sums.size, [added], "r")]


def _column_sparse(block: Block, product: Product, sparse: Sparse, sums: Array, factor: str) -> list[str]:
    table, entry, _ = _line(block, product, sparse.codes[None])
    places = block.table(f"{product.what}_rows", sparse.places, U8)
    starts = block.table(f"{product.what}_starts", sparse.starts, index_type(sparse.starts))
    added = f"({product.register}){entry.format(line=table, i='k')}{factor};"
    loop = f"for (size_t k = {starts}[c]; k < {starts}[c + 1]; k++) {{"
    if not sparse.far:
        return [loop, f"    {sums}[{places}[k]] += {added}", "}"]
    return [f"{product.register} *at = {sums};", loop, f"    at += {places}[k];", f"    *at += {added}", "}"]
