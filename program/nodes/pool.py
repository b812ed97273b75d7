"""Event pooling: one output event per window of ``window`` input events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..formats import Format
from .base import VALUE, WEIGHT, Node, register_node, sum_limit
from .facts import HIDDEN, SUM_BITS, State, whole_codes
from .features import WINDOWS
from .inputs import GAP_FORMAT

MODES = ("first", "last", "sum", "mean", "time")


def is_power_of_two(value: int) -> bool:
    """Whether ``value`` is 1, 2, 4, ..."""
    return value >= 1 and value & (value - 1) == 0


@register_node
@dataclass(frozen=True, eq=False, kw_only=True)
class EventPool(Node):
    """Collects ``window`` valid events; emits a valid output at the last of them, and starts anew.

    ``mode``:

    - ``first``: the first event's value (what event-SSM calls ``last``, and how a strided layer samples its state);
    - ``last``: the last event's value, of which nothing has to be kept;
    - ``sum``: the exact sum (gaps);
    - ``mean``: for a window of 2**k the exact sum, read with k more fractional bits; else ``floor((2p + w) / (2w))``
      with the sum p;
    - ``time``: weighted by the second input w_i (gaps in the pool tick): ``floor((2p + q) / (2q))`` with
      ``p = sum w_i x_i``, ``q = sum w_i``; all weights zero means the plain mean (p = sum x_i, q = window).

    An incomplete window at the end of a sample is dropped.
    """

    equation = "y = the first, the last, the sum or the mean of a window's values, at its last event"
    demands = (WINDOWS,)
    keeps_state = True

    format: Format
    size: int
    window: int
    mode: str

    @property
    def channels(self) -> int:
        return self.size

    @property
    def stride(self) -> int:
        return self.window

    @property
    def input_formats(self) -> tuple[Format, ...]:
        return (self.format, GAP_FORMAT) if self.mode == "time" else (self.format,)

    @property
    def input_channels(self) -> tuple[int, ...]:
        return (self.size, 1) if self.mode == "time" else (self.size,)

    @property
    def roles(self) -> tuple[str, ...]:
        return (VALUE, WEIGHT) if self.mode == "time" else (VALUE,)

    @property
    def detail(self) -> str:
        return self.mode

    @property
    def sum_limit(self) -> int:
        return sum_limit(self.format) if self.mode == "time" else 0

    @property
    def sum_width(self) -> int:
        """Bits of the sum of a window."""
        if self.mode == "time" or self.format == GAP_FORMAT:
            return SUM_BITS
        return self.format.width + (self.window - 1).bit_length()

    def states(self) -> tuple[State, ...]:
        values = whole_codes(self.size)
        if self.mode == "last":
            return ()
        if self.mode == "first":
            return (State("first", self.format.width, values, HIDDEN),)
        total = State("sum", self.sum_width, values, HIDDEN)
        if self.mode != "time":
            return (total,)
        weighted = State("weighted", SUM_BITS, values, HIDDEN)
        return total, weighted, State("weight", SUM_BITS, whole_codes(1), HIDDEN)

    @property
    def divides(self) -> bool:
        """Whether the mode ends in a rounded division."""
        return self.mode == "time" or (self.mode == "mean" and not is_power_of_two(self.window))

    def validate(self) -> None:
        self.require(self.mode in MODES, f"mode {self.mode!r} is unknown; use one of {', '.join(MODES)}")
        self.require(2 <= self.window <= 1 << 16, f"a window of {self.window} events is outside 2..65536")
        wanted = self.format
        if self.mode == "mean" and not self.divides:
            bits = self.window.bit_length() - 1
            wanted = Format(self.format.width + bits, self.format.signed, self.format.frac + bits)
        if self.mode == "sum":
            self.require(self.output.frac == self.format.frac, "a sum keeps the fractional bits")
            if self.format != GAP_FORMAT:
                self.require(
                    self.output.max >= self.format.max * self.window, f"{self.output} cannot hold the sum of a window"
                )
        else:
            self.require(self.output == wanted, f"output has format {self.output}, not {wanted}")

    def bounds(self) -> Mapping[str, int]:
        if self.mode == "last":
            return {}
        if self.mode == "time" or self.format == GAP_FORMAT:
            return {}  # sums over time are bounded by the length of the recording: int64
        return {"the sum of a window": 2 * self.format.magnitude * self.window + self.window}
