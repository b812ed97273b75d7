"""A program in C: what its files are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...program import Program
from .arrays import Array
from .block import Block
from .clock import remember_clock
from .kept import Kept
from .memory import Field, Table, struct_bytes
from .names import check_name
from .types import I64, U8, U32, CType, of_format
from .writer import write_blocks

COUNTERS = "PUMICE_COUNT"
"""The macro that adds counters of saturations and clipped gaps to the state."""


@dataclass(frozen=True)
class Generated:
    """A program in C.

    Attributes:
        program: what it is.
        name: what files, functions and types begin with.
        pack: whether weights of up to 4 bits share bytes.
        sparse: whether matrices are kept without their zeros where that takes fewer bytes.
    """

    program: Program
    name: str = "pumice"
    pack: bool = False
    sparse: bool = True

    def __post_init__(self) -> None:
        check_name(self.name)

    @cached_property
    def _written(self) -> tuple[Kept, dict[str, Block]]:
        program, kept = self.program, Kept(self.program, pack=self.pack, sparse=self.sparse)
        blocks = write_blocks(program, kept)
        for number in range(len(self.windows)):
            kept.remember(f"place{number}", U32, 0, "")
        for number in range(len(program.gap_inputs)):
            kept.remember(f"elapsed{number}", I64, 0, "")
        if self.counts_events:
            kept.remember("events", I64, 0, "")
        remember_clock(kept, self.value_type)
        if not program.clocked:
            kept.remember("started", U8, 0, "")
        return kept, blocks

    @property
    def kept(self) -> Kept:
        """What the functions need together."""
        return self._written[0]

    @property
    def blocks(self) -> dict[str, Block]:
        """The functions by node."""
        return self._written[1]

    @property
    def tables(self) -> list[Table]:
        """All constant arrays."""
        return self.kept.tables

    @cached_property
    def fields(self) -> list[Field]:
        """What the state keeps from event to event, widest first."""
        return sorted(self.kept.fields, key=lambda each: -each.ctype.bits)

    @property
    def work(self) -> list[Field]:
        """Space that a step works in; nothing of it is kept."""
        return self.kept.work.fields()

    @property
    def state_bytes(self) -> int:
        """The size of the state without counters."""
        return struct_bytes([*self.fields, *self.work])

    @property
    def constant_bytes(self) -> int:
        """What constants take in flash."""
        return sum(table.bytes for table in self.tables)

    @property
    def value_type(self) -> CType:
        """Of tokens or of the codes of dense values."""
        source = self.program.value_input
        return of_format(source.output) if source.event_shape else U32

    @property
    def logit_type(self) -> CType:
        """Of the logits."""
        return self.kept.edges[self.program.logits].ctype

    @cached_property
    def windows(self) -> dict[tuple[int, int], int]:
        """Numbers of all windows, by the rates of what goes in and what comes out, in the order of the latter."""
        rates = self.program.rates
        pairs = {(rates[n.inputs[0]], rates[n.name]) for n in self.program if n.stride > 1}
        return {pair: number for number, pair in enumerate(sorted(pairs, key=lambda pair: (pair[1], pair[0])))}

    @property
    def counts_events(self) -> bool:
        """Whether its sums hold for so few events that a step has to count them."""
        return self.program.max_events < 1 << 60

    @property
    def series(self) -> Array | None:
        """What is an output at every step; None where nothing is."""
        return None if self.program.series is None else self.kept.edges[self.program.series]

    @property
    def value(self) -> str:
        """The declaration of a function's parameter for tokens or dense values."""
        return f"const {self.value_type} *values" if self.program.value_input.event_shape else "uint32_t token"

    @property
    def step_signature(self) -> str:
        """The declaration of the function that takes an event."""
        gaps = "".join(f", int64_t gap{number}" for number in range(len(self.program.gap_inputs)))
        return f"int {self.name}_step({self.name}_state *s, {self.value}{gaps})"

    @property
    def refused(self) -> str:
        """What functions give for an event that the program cannot take."""
        return f"{self.name.upper()}_REFUSED"
