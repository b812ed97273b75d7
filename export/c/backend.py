"""The C program as a backend of the comparison, compiled by the compiler of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from ...program import Program, digest
from ...program.samples import Sample, Trace
from .build import Built
from .generated import Generated


class CBackend:
    """A ``hw_sim.parity.compare`` backend; what it has compiled it keeps.

    Compared are logits, series, every edge and state, saturations (those of dense input are the host's) and clipped
    gaps.

    Args:
        pack: whether weights of up to 4 bits share bytes.
    """

    def __init__(self, *, pack: bool = False) -> None:
        self._pack = pack
        self._built: dict[tuple[str, bool], Built] = {}

    def __call__(self, program: Program, samples: Sequence[Sample], trace: bool) -> list[Trace]:
        """One trace a sample.

        Raises:
            BackendUnavailable: no compiler on this machine.
            ProgramError: a sample that the program cannot take.
        """
        key = digest(program), trace
        if key not in self._built:
            self._built[key] = Built([Generated(program, pack=self._pack)], traced=trace)
        return self._built[key].run(0, samples, trace=trace)
