"""Read-outs: from events to one running value, defined at every moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..formats import Format
from .base import QUERY, TOTAL, VALUE, WEIGHT, Node, register_node, sum_limit
from .facts import HIDDEN, SUM_BITS, State, whole_codes
from .inputs import GAP_FORMAT

MOST_HELD = 1 << 22
MODES = ("mean", "time", "last", "window", "forget")


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class Readout(Node):
    """Reduces the valid events seen so far to one value; its output can be read at any time.

    With ``e = extra_bits`` more fractional bits in the output than in the input, and the division rounded half up,
    ``div(p, q) = floor((2p + q) / (2q))``, q at least 1:

    - ``mean``: ``div(2**e sum x_i, n)``;
    - ``time``: ``div(2**e sum w_i x_i, W)``. Inputs: values, their gaps w_i (pool ticks, summed over windows), and
      the gaps whose sum is W: of all events at full rate, or the w_i once more, so that the time of an incomplete
      window does not count. W = 0 means the plain mean;
    - ``last``: ``2**e x_n``;
    - ``window``: ``div(2**e sum of the last min(n, window) x_i, min(n, window))``;
    - ``forget``: ``s <- s + rhu((2**e x - s) / 2**decay_shift)``, the value is s; the first event sets s = 2**e x.

    Without any valid event the value is 0. Sums and counts are int64. The result saturates to the output's width.
    """

    equation = "y = the mean, the last or the forgetting mean of all values so far"
    keeps_state = True
    reads_out = True

    format: Format
    size: int
    mode: str
    extra_bits: int
    window: int
    decay_shift: int

    @property
    def channels(self) -> int:
        return self.size

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format, GAP_FORMAT, GAP_FORMAT) if self.mode == "time" else (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.size, 1, 1) if self.mode == "time" else (self.size,)

    @property
    def roles(self) -> tuple[str, ...]:
        return (VALUE, WEIGHT, TOTAL) if self.mode == "time" else (VALUE,)

    @property
    def detail(self) -> str:
        return self.mode

    @property
    def latches(self) -> bool:
        return self.mode == "last" and self.output == self.format

    @property
    def sum_limit(self) -> int:
        return 0 if self.mode == "last" else sum_limit(self.format, self.extra_bits)

    def rate(self, inputs: Sequence[int]) -> int:
        if self.mode == "time":
            values, weights, total = inputs
            again = self.inputs[2] == self.inputs[1]
            self.require(
                values == weights and (total == 1 or again),
                "needs values and weights of one rate and gaps at the full rate, or the weights once more, "
                f"not rates 1/{values}, 1/{weights}, 1/{total}",
            )
        return QUERY

    def states(self) -> tuple[State, ...]:
        values, one = whole_codes(self.size), whole_codes(1)
        if self.mode == "window":
            return (State("recent", self.format.width, whole_codes(self.size * self.window), HIDDEN),)
        if self.mode not in ("mean", "time"):
            return (State("held", self.output.width, values, HIDDEN),)
        sums = {"sum": values, "count": one}
        if self.mode == "time":
            sums |= {"weighted": values, "weight": one}
        return tuple(State(name, SUM_BITS, codes, HIDDEN) for name, codes in sums.items())

    def validate(self) -> None:
        self.require(self.mode in MODES, f"mode {self.mode!r} is unknown; use one of {', '.join(MODES)}")
        self.require(0 <= self.extra_bits <= 12, f"{self.extra_bits} extra bits are outside 0..12")
        self.require(
            self.output.frac == self.format.frac + self.extra_bits,
            f"output has {self.output.frac} fractional bits, not {self.format.frac + self.extra_bits}",
        )
        self.require((self.window >= 1) == (self.mode == "window"), "window is for mode 'window' alone")
        self.require(0 <= self.window <= 1 << 16, f"a window of {self.window} events is outside 1..65536")
        held = self.window * self.size
        self.require(held <= MOST_HELD, f"a window of {held} values is above the limit of {MOST_HELD}")
        self.require((self.decay_shift >= 1) == (self.mode == "forget"), "decay_shift is for mode 'forget' alone")
        self.require(0 <= self.decay_shift <= 24, f"decay_shift {self.decay_shift} is outside 0..24")

    def bounds(self) -> Mapping[str, int]:
        if self.mode == "window":
            return {"the sum": (2 * self.window * self.format.magnitude << self.extra_bits) + self.window}
        if self.mode == "forget":
            half = (1 << self.decay_shift) // 2
            return {"the difference": (2 * self.format.magnitude << self.extra_bits) + half}
        return {}  # sums over a recording: int64
