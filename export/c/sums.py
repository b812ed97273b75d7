"""Exact sums of matrix products, rounded once: by rows, or input by input where most inputs are 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...program.bounds import dot_bound
from ...program.formats import Format
from .arrays import Array
from .block import Block, repeated
from .types import U8, CType, literal, of_bound, of_width

UNROLLED = 4
"""Products of a turn of the innermost loop: what a small processor spends on the turn itself is shared by them."""


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
    bits = packed_bits(product.width) if block.kept.pack else 0
    if not bits:
        return block.table(product.what, codes, of_width(product.width)), "{line}[{i}]", codes.shape[1]
    packed = pack(codes, bits)
    return block.table(product.what, packed, U8), block.call(f"code{bits}") + "({line}, {i})", packed.shape[1]


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
    table, entry, step = _line(block, product, product.codes)
    register, line = product.register, f"w{number}"
    kind = U8 if block.kept.pack and packed_bits(product.width) else of_width(product.width)

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


def _by_input(block: Block, product: Product, name: str) -> Array:
    """Sums (rows,) of the products of all inputs that are not 0."""
    table, entry, step = _line(block, product, np.ascontiguousarray(product.codes.T))
    register, rows = product.register, len(product.codes)
    sums = block.scratch(name, register, rows)
    kind = U8 if block.kept.pack and packed_bits(product.width) else of_width(product.width)
    code = entry.format(line="w", i="r")
    binary = product.format.width == 1 and not product.format.signed
    factor = "" if binary else f" * ({register}){product.source}[c]"
    active = [
        f"const {kind} *const w = {table} + c * {step};",
        *repeated(rows, [f"{sums}[r] += ({register}){code}{factor};"], "r"),
    ]
    block.loop(rows, f"{sums}[r] = 0;", index="r")
    inside = [f"if ({product.source}[c] != {literal(0)}) {{", *(f"    {line}" for line in active), "}"]
    block.loop(product.codes.shape[1], *inside, index="c")
    return sums
