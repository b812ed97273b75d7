"""The C function of one node: its declarations and statements, and what it asks the writer for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...program.formats import Format
from ...program.nodes import Node
from .arrays import Array
from .kept import Kept
from .types import CType, literal, of_format

Emitter = Callable[["Block", Any], None]
"""(the block of the node, the node): writes the statements."""
Row = Callable[[str], str]
"""An expression from that of an index."""


class Block:
    """What the function of one node is made of.

    Attributes:
        lines: statements, without the function's own indentation.
        parameters: of the function, after the state: what the caller declares by the same name.
        states: arrays that the trace shows beside the output, in order.
        after: statements that belong to another rate than the node's inputs: (rate, text).
        reader: of a read-out, the function that makes its value.
    """

    def __init__(self, kept: Kept, node: Node) -> None:
        self.kept, self.node, self.index = kept, node, kept.numbers[node.name]
        self.lines: list[str] = []
        self.parameters: list[str] = []
        self.states: list[Array] = []
        self.after: list[tuple[int, str]] = []
        self.reader: Block | None = None

    @property
    def name(self) -> str:
        """The function's, and the beginning of the names of all that belongs to the node."""
        return f"n{self.index:03d}"

    def say(self, *lines: str) -> None:
        """Add statements."""
        self.lines += lines

    def loop(self, size: int | str, *body: str, index: str = "i") -> None:
        """``for`` over ``size`` indices."""
        self.lines += repeated(size, body, index)

    def declare(self, name: str, array: Array, *, constant: bool = False) -> Array:
        """A local pointer to an array."""
        kind = f"const {array.ctype}" if constant else str(array.ctype)
        self.say(f"{kind} *const {name} = {array};")
        return Array(name, array.ctype, array.size)

    def read(self, number: int = 0, name: str = "x") -> Array:
        """A local pointer to input edge ``number``."""
        source = self.kept.edges[self.node.inputs[number]]
        if source.expression == "values":
            self.parameters.append(f"const {source.ctype} *values")
            return source
        return self.declare(name, source, constant=True)

    def counts(self, number: int = 0) -> bool:
        """Whether input edge ``number`` is what the host counts in a step: spikes, as a rule, of few channels."""
        source = self.kept.program[self.node.inputs[number]]
        return source is self.kept.program.value_input and source.output.frac == 0 and source.output.width <= 8

    def output(self, name: str = "y", ctype: CType | None = None) -> Array:
        """A local pointer to the output edge, which gets its place here."""
        ctype = ctype or of_format(self.node.output)
        return self.declare(name, self.kept.place(self.node, self.name, ctype))

    def output_is(self, array: Array) -> None:
        """The output edge is an array of the state."""
        self.kept.edges[self.node.name] = array

    def state(self, what: str, ctype: CType, size: int, *, traced: bool = False) -> Array:
        """An array of the state, zero at the start."""
        kept = self.kept.remember(f"{self.name}_{what}", ctype, size, self.node.name)
        if traced:
            self.states.append(kept)
        return kept

    def scratch(self, name: str, ctype: CType, size: int) -> Array:
        """A local pointer to work space of this function."""
        return self.declare(name, self.kept.scratch(self.node, ctype, size))

    def table(self, what: str, codes: np.ndarray, ctype: CType | None = None) -> str:
        """The name of a constant array of these codes, in the narrowest type if none is given."""
        return self.kept.tabulate(f"{self.name}_{what}", codes, ctype, self.node.name)

    def each(self, what: str, codes: np.ndarray) -> Row:
        """The codes of rows (n,): a number where all agree, else a table."""
        if len(codes) and (codes == codes[0]).all():
            return lambda row: literal(int(codes[0]))
        table = self.table(what, codes)
        return lambda row: f"{table}[{row}]"

    def call(self, helper: str) -> str:
        """The name of a helper, which is then written."""
        return self.kept.use(helper)

    def shifted_left(self, what: str, shift: int | np.ndarray, ctype: CType) -> Callable[[str, str], str]:
        """``(value, row)`` to ``value 2**shift[row]``, shift >= 0, in the register ``ctype``.

        Products with a power of two, as shifts of negative numbers are undefined in C. A deeper shift than the register
        takes belongs to rows that can only be 0.
        """
        shifts = np.atleast_1d(np.asarray(shift, dtype=np.int64))
        shifts = np.where(shifts > ctype.deepest_shift, 0, shifts)
        if not shifts.any():
            return lambda value, row: value
        if (shifts == shifts[0]).all():
            return lambda value, row: f"({value}) * {literal(1 << int(shifts[0]))}"
        table = self.table(what, shifts)
        return lambda value, row: f"({value}) * (({ctype})1 << {table}[{row}])"

    def shifted_right(self, what: str, shift: int | np.ndarray, ctype: CType) -> Callable[[str, str], str]:
        """``(value, row)`` to ``value / 2**shift[row]``, rounded half up; a negative shift is an exact left one."""
        shifts = np.atleast_1d(np.asarray(shift, dtype=np.int64))
        shifts = np.where(shifts < -ctype.deepest_shift, 0, shifts)
        if (shifts == shifts[0]).all():
            return lambda value, row: rounded(value, int(shifts[0]))
        table, how = self.table(what, shifts), "round" if (shifts >= 0).all() else "move"
        helper = self.call(f"{how}{ctype.bits}")
        return lambda value, row: f"{helper}({value}, {table}[{row}])"

    def stored(self, value: str, format: Format, register: CType, ctype: CType) -> str:
        """A value in a register, saturated to ``format`` and counted where it clips, as the type of its array.

        No intermediate reaches the register's limit, so that ends of a format beyond it need no look.
        """
        low, high = max(format.min, -register.limit), min(format.max, register.limit)
        if low == -register.limit and high >= register.limit - 1:
            return value if ctype == register else f"({ctype})({value})"
        helper = self.call(f"clip{register.bits}")
        clipped = f"{helper}(s, {self.index}, {value}, {literal(low)}, {literal(high)})"
        return clipped if ctype == register else f"({ctype}){clipped}"


def repeated(size: int | str, body: Sequence[str], index: str = "i") -> list[str]:
    """A ``for`` over ``size`` indices."""
    inside = [f"    {line}" if line else line for line in body]
    return [f"for (size_t {index} = 0; {index} < {size}; {index}++) {{", *inside, "}"]


def rounded(value: str, shift: int) -> str:
    """``value / 2**shift``, rounded half up, by one number."""
    if shift == 0:
        return value
    if shift < 0:
        return f"({value}) * {literal(1 << -shift)}"
    return f"(({value}) + {literal(1 << (shift - 1))}) >> {shift}"
