"""What a search over widths may choose, where it starts, and what it is after; no optimizer is known here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..quantize.config import LIMITS, QuantizationConfig
from ..quantize.widths import Place
from .bench import Measured
from .presets import merged

METHOD, TICK = "calibration.method", "tick_ms"
Point = Mapping[str, int]
"""Of every dimension, the number of the choice."""

MOST_FIRST = 60
"""Points of the way along sensitivity's order that a search begins with."""
LEAST_KL = 1e-12
"""Divergences below this are equal: the logarithm of less says nothing."""


def _share(of: str) -> Callable[[Measured], float]:
    return lambda found: -getattr(found, of) / max(found.decisions or 0, 1)


def _number(of: str, unit: float) -> Callable[[Measured], float]:
    return lambda found: getattr(found, of) / unit


QUALITIES: dict[str, Callable[[Measured], float]] = {
    "divergence": lambda found: math.log10(max(found.kl or 0.0, LEAST_KL)),
    "agreement": _share("same_class"),
    "accuracy": _share("correct"),
}
"""What is lost, the less the better: the logarithm of the divergence, or a share of decisions with the sign changed."""
COSTS: dict[str, Callable[[Measured], float]] = {
    "bytes": _number("parameter_bits", 8),
    "state_bytes": _number("state_bits", 8),
    "bit_operations": _number("bit_operations", 1),
    "energy_nj": _number("energy_pj", 1000),
}
"""What is spent, of parameters and states in all, of operations and energy on an event."""
SAVED = {
    "bytes": "parameter_bits",
    "state_bytes": "state_bits",
    "bit_operations": "bit_operations",
    "energy_nj": "energy_pj",
}


@dataclass(frozen=True)
class Space:
    """What may be chosen.

    Attributes:
        places: widths of the model, by `Place.name`, with what each may have, ascending, its own among them.
        methods: of calibration; empty to leave it.
        ticks: lengths of a tick in ms; empty to leave it.
        base: the settings that all points change.
    """

    places: Mapping[str, tuple[int, ...]]
    methods: tuple[str, ...]
    ticks: tuple[float, ...]
    base: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        base: Mapping[str, Any],
        entries: Sequence[Mapping[str, Any]],
        to: Mapping[str, Sequence[int]],
        methods: Sequence[str] = (),
        ticks: Sequence[float] = (),
    ) -> Space:
        """Of the tensors that sensitivity has found, those of a kind that may be lowered.

        Args:
            base: settings that all points change.
            entries: of ``sensitivity.json``.
            to: bits that tensors may have, by kind; of none, a kind stays as it is.
            methods: see above.
            ticks: see above.
        """
        config = QuantizationConfig.from_mapping(base)
        places: dict[str, tuple[int, ...]] = {}
        for name in sorted({entry["place"] for entry in entries}):
            place = Place.named(name)
            own, least = place.bits(config), LIMITS[place.width][0]
            lower = {bits for bits in to.get(place.kind, ()) if least <= bits < own}
            if lower:
                places[name] = (*sorted(lower), own)
        return cls(places, tuple(methods), tuple(ticks), base)

    @property
    def choices(self) -> dict[str, tuple[Any, ...]]:
        """Of every dimension, in order."""
        more = {METHOD: self.methods, TICK: self.ticks}
        return {**self.places, **{name: values for name, values in more.items() if values}}

    def changes(self, point: Point) -> dict[str, Any]:
        """The settings of a point, to be laid over `base`; widths that stay are left out."""
        found: dict[str, Any] = {}
        config = QuantizationConfig.from_mapping(self.base)
        for name, values in self.choices.items():
            value = values[point[name]]
            if name == METHOD:
                found = merged(found, {"calibration": {"method": value}})
            elif name == TICK:
                found = merged(found, {"tick_ms": value})
            elif value != Place.named(name).bits(config):
                found = merged(found, Place.named(name).changes(value, config))
        return found

    def settings(self, point: Point) -> dict[str, Any]:
        """All settings of a point."""
        return merged(self.base, self.changes(point))

    @property
    def widest(self) -> dict[str, int]:
        """The point that changes nothing."""
        found = {name: len(values) - 1 for name, values in self.places.items()}
        own = {METHOD: self.base["calibration"]["method"], TICK: self.base["tick_ms"]}
        for name, values in self.choices.items():
            if name not in found:
                found[name] = values.index(own[name]) if own[name] in values else 0
        return found

    def first(
        self, entries: Sequence[Mapping[str, Any]], kl: float, cost: str, most: int = MOST_FIRST
    ) -> list[dict[str, int]]:
        """Points to begin with: nothing lowered, all lowered alike, and one width after the other in their order.

        The order is that of sensitivity: each step takes the tensor whose next lower width costs the least divergence a
        unit of ``cost`` that it saves, as if divergences added up. Widths that sensitivity has not tried lie between
        those that it has, by the logarithm; a bit more is a quarter of the noise.

        Args:
            entries: of ``sensitivity.json``.
            kl: the divergence of nothing lowered.
            cost: one of `COSTS`.
            most: points of the way, evenly along it.
        """
        found = [self.widest]
        for bits in sorted({bits for values in self.places.values() for bits in values[:-1]}, reverse=True):
            alike = {
                name: max((number for number, value in enumerate(values) if value <= bits), default=0)
                for name, values in self.places.items()
            }
            found.append({**self.widest, **alike})
        prices = {name: _prices(values, entries, name, kl, cost) for name, values in self.places.items()}
        point, way = self.widest, []
        while steps := [
            (_slope(prices[name], point[name]), name)
            for name in self.places
            if point[name] > 0 and prices[name][point[name] - 1] is not None
        ]:
            _, name = min(steps)
            point = {**point, name: point[name] - 1}
            way.append(point)
        count = min(most, len(way))
        found += [way[round((number + 1) * len(way) / count) - 1] for number in range(count)]
        unique = {tuple(point.items()): point for point in found}
        return list(unique.values())


def _prices(
    values: Sequence[int], entries: Sequence[Mapping[str, Any]], place: str, kl: float, cost: str
) -> list[tuple[float, float] | None]:
    """Of each width of a tensor, what it adds to the divergence and what it saves; None for what is refused.

    Widths below one that was refused are refused as well.
    """
    own, tried = values[-1], [entry for entry in entries if entry["place"] == place]
    refused = max((entry["to"] for entry in tried if entry["refused"] is not None), default=0)
    known = {
        entry["to"]: (max(entry["kl"] - kl, LEAST_KL), float(entry[f"saved_{SAVED[cost]}"] or 0))
        for entry in tried
        if entry["refused"] is None
    }
    found: list[tuple[float, float] | None] = []
    for bits in values:
        if bits == own:
            found.append((0.0, 0.0))
        elif bits <= refused or not known:
            found.append(None)
        else:
            below, above = (
                max((b for b in known if b <= bits), default=None),
                min((b for b in known if b >= bits), default=None),
            )
            near = below if below is not None else above
            assert near is not None
            added, saved = known[near]
            if below is None or above is None:
                added *= 4.0 ** (near - bits)
            elif above > below:
                share = (bits - below) / (above - below)
                added = known[below][0] ** (1 - share) * known[above][0] ** share
            found.append((added, saved * (own - bits) / (own - near)))
    return found


def _slope(prices: Sequence[tuple[float, float] | None], number: int) -> float:
    """Divergence that the next lower width adds, a unit of what it saves; infinite where it saves nothing."""
    now, then = prices[number], prices[number - 1]
    assert now is not None
    assert then is not None
    saved = then[1] - now[1]
    return max(then[0] - now[0], LEAST_KL) / saved if saved > 0 else math.inf


def pareto_set(values: Sequence[Sequence[float]]) -> list[int]:
    """Numbers of the points (each a row of objectives, the less the better) that no other dominates.

    Of equal points the first.
    """
    return [
        number
        for number, own in enumerate(values)
        if not any(
            all(a <= b for a, b in zip(other, own, strict=True)) and (tuple(other) != tuple(own) or before < number)
            for before, other in enumerate(values)
            if before != number
        )
    ]
