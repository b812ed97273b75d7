"""All rules on one program, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...program import Program, digest
from .mapping import Placed, place
from .profile import ChipProfile
from .rules import RULES, Breach


@dataclass(frozen=True)
class Verdict:
    """All breaches of one rule: what the table shows in a line.

    Attributes:
        rule: its name.
        limit: of the chip.
        worst: the breach that is told.
        count: how many places break it.
    """

    rule: str
    limit: str
    worst: Breach
    count: int


@dataclass(frozen=True)
class Fit:
    """Whether a program fits a chip.

    Attributes:
        profile: the chip.
        program: the program's digest.
        breaches: every limit that is not kept, by rule and place.
        placed: layers on cores; empty where the chip has none.
    """

    profile: ChipProfile
    program: str
    breaches: tuple[Breach, ...]
    placed: tuple[Placed, ...]

    @property
    def fits(self) -> bool:
        """Whether every limit of the profile is kept."""
        return not self.breaches

    @property
    def verdicts(self) -> list[Verdict]:
        """Breaches of the same rule and limit together, in the order of the rules."""
        groups: dict[tuple[str, str], list[Breach]] = {}
        for breach in self.breaches:
            groups.setdefault((breach.rule, breach.limit), []).append(breach)
        return [Verdict(rule, limit, found[0], len(found)) for (rule, limit), found in groups.items()]

    def to_dict(self) -> Mapping[str, Any]:
        """Plain data for JSON."""
        limits = {name: asdict(limit) for name, limit in self.profile.limits.items()}
        features = {"has": sorted(self.profile.features), "source": self.profile.features_source}
        return {
            "chip": self.profile.name,
            "program": self.program,
            "fits": self.fits,
            "breaches": [asdict(breach) for breach in self.breaches],
            "layers": [asdict(entry) for entry in self.placed],
            "limits": limits,
            "features": {**features, "kind": self.profile.features_kind},
        }


def check(program: Program, profile: ChipProfile) -> Fit:
    """Go through all rules.

    Args:
        program: any.
        profile: the chip's limits.
    """
    breaches = tuple(breach for rule in RULES for breach in rule(program, profile))
    return Fit(profile, digest(program), breaches, tuple(place(program, profile)))
