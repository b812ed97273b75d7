"""Programs made from programs."""

from __future__ import annotations

from dataclasses import replace

from .errors import ProgramError
from .graph import Program
from .nodes import Readout


def replace_readout(program: Program, *, mode: str, window: int = 0, decay_shift: int = 0) -> Program:
    """The same program with another read-out: ``mean``, ``last``, ``window`` or ``forget``, for endless streams.

    ``window`` is in events at the read-out's rate, for mode "window"; ``decay_shift`` is for mode "forget", which
    then forgets over about ``2**decay_shift`` events. Formats stay, so that what lies behind is not touched.

    Raises:
        ProgramError: mode "time" where the program has another (its gaps are not in the program), or a bad setting.
    """
    readouts = program.of_type(Readout)
    if mode == "time" and any(node.mode != "time" for node in readouts):
        raise ProgramError(
            f"node {readouts[0].name}: read-out 'time' needs gaps that this program lacks; lower it anew"
        )

    def changed(node: Readout) -> Readout:
        inputs = node.inputs if mode == "time" else node.inputs[:1]
        return replace(node, inputs=inputs, mode=mode, window=window, decay_shift=decay_shift)

    new = {node.name: changed(node) for node in readouts}
    return replace(program, nodes=tuple(new.get(node.name, node) for node in program))
