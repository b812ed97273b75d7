"""How far integer states drift from float64 over a long stream, for identical integer inputs, layer by layer.

Two causes are kept apart. Rounding: against a float64 state with the program's own decays and unrounded drives.
Coefficients: between that float64 state and one with the exact decays. All figures are in units of the state.

With r = sqrt(2)/2, the largest error of rounding a complex number, w(n) the set digits of a gap n, A_n the product of
its digits' ``1 + d_j``, and at most m events a tick, rounding stays within the bound that docs/numerics.md derives,
here over the gaps that occurred::

    r max (w(n) + m) / (1 - |A_n|)             async, dirac
    r max (w(n) + |1 - A_n|) / (1 - |A_n|)     zoh

and coefficients within ``M max |A_n - a^n| / (1 - |A_n|)``, M the largest exact state that decays (under zoh with
its drive added). Saturation voids both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from ...program import Program, ProgramError
from ...program.nodes import DiagonalSSM
from ..simulator import Simulator
from ..simulator.plan.planner import BLOCK

ROUNDING = np.sqrt(0.5)
"""The largest error of rounding both components of a complex number half up."""


@dataclass(frozen=True)
class LayerDrift:
    """The drift of one DiagonalSSM node, by mode (P,), in units of its state.

    Attributes:
        events: events at the node's rate.
        events_per_tick: m, the most events that share one tick.
        rounding: largest distance from the float64 state with the program's decays.
        bound: what ``rounding`` cannot exceed as long as ``saturations`` is 0.
        coefficients: largest distance between the float64 states with the program's decays and with exact ones, which
            also see gaps unclipped; None without exact rates.
        coefficient_bound: what ``coefficients`` cannot exceed where no gap was clipped either; None likewise.
        largest: largest magnitude of the integer state.
        saturations, clipped_gaps: as counted by the simulator.
    """

    events: int
    events_per_tick: int
    rounding: np.ndarray
    bound: np.ndarray
    coefficients: np.ndarray | None
    coefficient_bound: np.ndarray | None
    largest: np.ndarray
    saturations: int
    clipped_gaps: int

    @property
    def holds(self) -> bool:
        """Whether every mode stays within its bound; float64's own rounding is granted a millionth."""
        return bool(np.all(self.rounding <= self.bound * (1 + 1e-6) + 1e-6))

    def as_data(self) -> dict[str, Any]:
        """The worst modes, as plain data for JSON."""
        tightest = int(np.argmax(self.rounding / self.bound))
        return {
            "events": self.events,
            "events_per_tick": self.events_per_tick,
            "rounding": float(self.rounding.max()),
            "bound": float(self.bound.max()),
            "closest_to_bound": {
                "mode": tightest,
                "rounding": float(self.rounding[tightest]),
                "bound": float(self.bound[tightest]),
            },
            "coefficients": None if self.coefficients is None else float(self.coefficients.max()),
            "coefficient_bound": None if self.coefficient_bound is None else float(self.coefficient_bound.max()),
            "largest_state": float(self.largest.max()),
            "saturations": self.saturations,
            "clipped_gaps": self.clipped_gaps,
            "holds": self.holds,
        }


def measure_drift(
    program: Program,
    values: np.ndarray,
    times_us: np.ndarray,
    exact_rates: Mapping[str, np.ndarray] | None = None,
) -> dict[str, LayerDrift]:
    """Run one stream and compare every DiagonalSSM's state with float64 after each event.

    ``exact_rates``: by node, the complex exponent of one tick, Lambda * step * tick, (P,); the exact decay of n ticks
    is its exponential times n.

    Raises:
        ProgramError: the program has no DiagonalSSM.
    """
    ssms = program.of_type(DiagonalSSM)
    if not ssms:
        raise ProgramError("drift is measured of DiagonalSSM nodes, of which this program has none; use an S5 model's")
    simulator = Simulator(program, trace=True)
    layers = {node.name: _Layer(node, None if exact_rates is None else exact_rates[node.name]) for node in ssms}
    for start in range(0, len(times_us), BLOCK):
        simulator.advance(values[start : start + BLOCK], times_us[start : start + BLOCK])
        for name, layer in layers.items():
            u, gap = (simulator.edge_rows(edge) for edge in layer.node.inputs)
            layer.follow(u, gap[:, 0], simulator.state_rows(name))
    saturations, clipped = simulator.saturations, simulator.clipped_gaps
    return {name: layer.result(saturations[name], clipped[name]) for name, layer in layers.items()}


class _Layer:
    def __init__(self, node: DiagonalSSM, rate: np.ndarray | None) -> None:
        if rate is not None and rate.shape != (node.modes,):
            raise ProgramError(f"node {node.name}: exact rates have shape {rate.shape}, not ({node.modes},)")
        self.node = node
        self.rate = np.asarray(np.zeros(node.modes) if rate is None else rate, dtype=np.complex128)
        self.exact = rate is not None
        self.weight = np.concatenate([node.input_re, node.input_im]).astype(np.float64)
        self.bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.float64)
        self.unit = 2.0**-node.channel_shift
        d = node.decay_re.astype(np.complex128)
        if not node.real:
            d = d + 1j * node.decay_im
        self.factors = 1 + d / 2.0 ** node.decay_exponent.astype(np.float64)
        self.quantized = np.zeros(node.modes, dtype=np.complex128)
        self.ideal = np.zeros(node.modes, dtype=np.complex128)
        self.worst = np.zeros((4, node.modes))
        self.seen: set[int] = set()
        self.counts = np.zeros(3, dtype=np.int64)  # events, events of this tick, most events of one tick

    def follow(self, u: np.ndarray, gaps: np.ndarray, states: np.ndarray) -> None:
        """One block: u (L, H) codes, gaps (L,) ticks, integer states after each event (L, channels)."""
        drive = (u @ self.weight.T + self.bias) * self.unit  # exact: below 2**52, scaled by powers of two
        if self.node.real:  # what follows is complex
            drive, states = (np.concatenate([part, np.zeros_like(part)], axis=1) for part in (drive, states))
        limited = np.minimum(gaps, self.node.max_gap)
        self.seen.update(np.unique(limited[limited > 0]).tolist())
        hold = self.node.discretization == "zoh"
        _follow(
            drive, gaps, limited, states, self.factors, self.rate, hold, self.quantized, self.ideal, self.worst,
            self.counts,
        )  # fmt: skip

    def result(self, saturations: int, clipped_gaps: int) -> LayerDrift:
        """What was measured, with the bound for the gaps that occurred."""
        most, zoh = int(self.counts[2]), self.node.discretization == "zoh"
        bound = np.full(self.node.modes, 0.0 if zoh else most * ROUNDING)
        apart = np.zeros(self.node.modes)
        for gap in self.seen:
            digits = [digit for digit in range(self.node.digits) if gap >> digit & 1]
            decay = np.prod(self.factors[digits], axis=0)
            room = 1 - np.abs(decay)
            lasting = room <= 0
            room = np.where(lasting, 1.0, room)
            drive = np.abs(1 - decay) if zoh else float(most)
            bound = np.maximum(bound, np.where(lasting, np.inf, ROUNDING * (len(digits) + drive) / room))
            distance = np.abs(decay - np.exp(self.rate * gap)) * self.worst[3]
            apart = np.maximum(apart, np.where(lasting, np.inf, distance / room))
        return LayerDrift(
            events=int(self.counts[0]),
            events_per_tick=most,
            rounding=self.worst[0],
            bound=bound,
            coefficients=self.worst[1] if self.exact else None,
            coefficient_bound=apart if self.exact else None,
            largest=self.worst[2],
            saturations=saturations,
            clipped_gaps=clipped_gaps,
        )


@njit(cache=True)
def _follow(
    drive: np.ndarray,
    gaps: np.ndarray,
    limited: np.ndarray,
    states: np.ndarray,
    factors: np.ndarray,
    rate: np.ndarray,
    hold: bool,
    quantized: np.ndarray,
    ideal: np.ndarray,
    worst: np.ndarray,
    counts: np.ndarray,
) -> None:
    modes = quantized.shape[0]
    for k in range(gaps.shape[0]):
        counts[0] += 1
        counts[1] = counts[1] + 1 if gaps[k] == 0 else 1
        counts[2] = max(counts[2], counts[1])
        for p in range(modes):
            v = complex(drive[k, p], drive[k, modes + p])
            x, y = quantized[p], ideal[p]
            if hold and gaps[k] > 0:
                x, y = x + v, y + v
            worst[3, p] = max(worst[3, p], abs(y))
            rest, digit = limited[k], 0
            while rest > 0:
                if rest & 1 == 1:
                    x = x * factors[digit, p]
                rest >>= 1
                digit += 1
            if gaps[k] > 0:
                y = y * np.exp(rate[p] * gaps[k])
            if not hold:
                x, y = x + v, y + v
            elif gaps[k] > 0:
                x, y = x - v, y - v
            quantized[p], ideal[p] = x, y
            state = complex(np.float64(states[k, p]), np.float64(states[k, modes + p]))
            worst[0, p] = max(worst[0, p], abs(state - x))
            worst[1, p] = max(worst[1, p], abs(x - y))
            worst[2, p] = max(worst[2, p], abs(state))
