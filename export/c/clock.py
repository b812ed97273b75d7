"""Fields of the state that count time: when the last event was, and how far into a tick."""

from __future__ import annotations

from .kept import Kept
from .types import U64, CType


def remember_clock(kept: Kept, value: CType) -> None:
    """Fields of the state: when the last event was, and how far into a tick of each unit; the event that waits."""
    program = kept.program
    if program.clocked:
        return
    kept.remember("last_us", U64, 0, "")
    for number, node in enumerate(program.gap_inputs):
        if node.unit_us > 1:
            kept.remember(f"phase{number}", U64, 0, node.name)
    if program.pairing == "next":
        size = program.value_input.event_shape[0] if program.value_input.event_shape else 0
        kept.remember("waiting", value, size, program.value_input.name)
