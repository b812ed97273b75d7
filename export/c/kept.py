"""What the nodes of a program need together: constant tables, fields of the state, places of edges, helpers."""

from __future__ import annotations

import numpy as np

from ...program import Program
from ...program.nodes import Node
from .arrays import Array, of_codes
from .helpers import NEEDS
from .memory import Field, Table, WorkSpace
from .types import CType, of_format


class Kept:
    """Collected while functions are written.

    Attributes:
        program: what is written.
        pack: whether weights of up to 4 bits share bytes.
        sparse: whether matrices are kept without their zeros where that takes fewer bytes.
        tables: constant arrays.
        fields: what the state keeps from event to event.
        work: the space that all steps share.
        edges: where the value of each edge lies.
        helpers: the names of those that are called.
        saved: bytes that each matrix without its zeros takes less, by its name.
        counts: of the values that each read-out has taken; 0 before the first.
    """

    def __init__(self, program: Program, *, pack: bool = False, sparse: bool = True) -> None:
        self.program, self.pack, self.sparse = program, pack, sparse
        self.tables: list[Table] = []
        self.fields: list[Field] = []
        self.work = WorkSpace()
        self.edges: dict[str, Array] = {}
        self.helpers: set[str] = set()
        self.saved: dict[str, int] = {}
        self.counts: list[Array] = []
        self._known: dict[tuple[CType, bytes], str] = {}
        self.numbers = {node.name: number for number, node in enumerate(program)}
        self._last_use = dict(self.numbers)
        for node in program:
            for edge in node.inputs:
                self._last_use[edge] = self.numbers[node.name]
        self._last_use[program.logits] = len(program.nodes)

    def take_input(self, node: Node) -> None:
        """The place of what the host gives: dense values stay where they are."""
        ctype = of_format(node.output)
        if node is self.program.value_input and self.program.value_input.event_shape:
            self.edges[node.name] = Array("values", ctype, node.channels)
        else:
            self.edges[node.name] = self._working(-1, ctype, node.channels, self._last_use[node.name])

    def place(self, node: Node, name: str, ctype: CType) -> Array:
        """Room for the output of a node, and from here on its edge; ``name`` is what its fields begin with."""
        if node.name == self.program.series:
            place = self.remember(f"{name}_y", ctype, node.channels, node.name)
        else:
            place = self._working(self.numbers[node.name], ctype, node.channels, self._last_use[node.name])
        self.edges[node.name] = place
        return place

    def scratch(self, node: Node, ctype: CType, size: int) -> Array:
        """Room that the function of a node needs while it runs."""
        return self._working(self.numbers[node.name], ctype, size, self.numbers[node.name])

    def _working(self, now: int, ctype: CType, size: int, until: int) -> Array:
        offset = self.work.take(ctype.bits, size, now, until)
        expression = f"s->work{ctype.bits}" + (f" + {offset}" if offset else "")
        return Array(expression if ctype.signed else f"({ctype} *)({expression})", ctype, size)

    def remember(self, name: str, ctype: CType, size: int, node: str) -> Array:
        """An array of the state, or a single number where ``size`` is 0."""
        self.fields.append(Field(name, ctype, size, node))
        return Array(f"s->{name}", ctype, size)

    def tabulate(self, name: str, codes: np.ndarray, ctype: CType | None, node: str) -> str:
        """A constant array, flat; the name of an equal one where there is one already."""
        flat = np.asarray(codes, dtype=np.int64).reshape(-1)
        kind = ctype or of_codes(flat)
        own = self._known.setdefault((kind, flat.tobytes()), name)
        if own == name:
            self.tables.append(Table(name, kind, flat, node))
        return own

    def use(self, helper: str) -> str:
        """A helper that is called."""
        self.helpers.add(helper)
        if helper in NEEDS:
            self.helpers.add(NEEDS[helper])
        return helper
