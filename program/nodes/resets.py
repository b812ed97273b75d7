"""What a spike does to the potential of its neuron, and when; `neurons` has the equations."""

from __future__ import annotations

ZERO, SUBTRACT, LATE_ZERO, LATE_SUBTRACT = "zero", "subtract", "late-zero", "late-subtract"
RESETS = (ZERO, SUBTRACT, LATE_ZERO, LATE_SUBTRACT)

SUBTRACTING = (SUBTRACT, LATE_SUBTRACT)
"""They take the threshold away, the others all of the potential."""


MOST_REFRACTORY = 255
"""Steps that a neuron may be held after a spike: its counter has up to eight bits."""

AT_ONCE = {LATE_ZERO: ZERO, LATE_SUBTRACT: SUBTRACT}
"""Late resets, and the same at once. Before a refractory step both give the same spikes, of neurons without adaptation.
"""


def is_late(reset: str) -> bool:
    """Whether it acts at the step after the spike: the potential is kept as it is, and tells that a spike was."""
    return reset in (LATE_ZERO, LATE_SUBTRACT)
