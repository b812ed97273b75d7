"""Profiles of chips: limits, each with its unit, source and kind, and what nodes the chip can compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...program import ProgramError
from ...program.nodes.features import FEATURES

KINDS = ("published", "code", "assumed", "given")
"""Where a limit comes from: a publication, the code of a tool, an assumption, or whoever asks."""

LIMITS: Mapping[str, str] = {
    "weight_bits": "bit",
    "state_bits": "bit",
    "decay_bits": "bit",
    "bias_bits": "bit",
    "message_bits": "bit",
    "decays_per_layer": "decays",
    "fan_in": "inputs",
    "fan_out": "outputs",
    "inputs": "channels",
    "outputs": "channels",
    "hidden_neurons": "neurons",
    "neurons": "neurons",
    "synapses": "synapses",
    "layers": "layers",
    "cores": "cores",
    "neurons_per_core": "neurons",
    "core_bytes": "byte",
    "chip_bytes": "byte",
    "flash_bytes": "byte",
    "ram_bytes": "byte",
}
"""What a profile may limit, and in what unit."""

_STATED = ("value", "unit", "source", "kind")


@dataclass(frozen=True)
class Limit:
    """One limit of a chip.

    Attributes:
        name: one of `LIMITS`.
        value: a whole number.
        unit: that of `LIMITS`.
        source: publication, file of a tool, or for an assumption what it follows from.
        kind: one of `KINDS`.
    """

    name: str
    value: int
    unit: str
    source: str
    kind: str


@dataclass(frozen=True)
class ChipProfile:
    """A chip, or a part of its family.

    Attributes:
        name: as files call it.
        description: a line.
        arithmetic: of the chip's own neurons, as nodes tell it in ``chip``; empty where it computes by programs.
        features: what it computes beyond sums of weighted inputs, of `program.nodes.features`.
        features_source: where that is from.
        features_kind: one of `KINDS`.
        limits: by name.
    """

    name: str
    description: str
    arithmetic: str
    features: frozenset[str]
    features_source: str
    features_kind: str
    limits: Mapping[str, Limit] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, data: Any) -> ChipProfile:
        """From plain data, as a file of configs/chip has it.

        Raises:
            ProgramError: naming what is missing, unknown or wrong.
        """
        keys = ("name", "description", "arithmetic", "features", "limits")
        if not isinstance(data, Mapping) or not {"name", "features", "limits"} <= set(data) <= set(keys):
            raise ProgramError(
                f"a chip has name, features and limits, perhaps description and arithmetic, not {data!r:.99}"
            )
        name, features, limits = data["name"], data["features"], data["limits"]
        if not isinstance(name, str) or not name.strip() or not isinstance(limits, Mapping):
            raise ProgramError(f"the chip {name!r:.99} needs a name as text and limits by name")
        if not isinstance(features, Mapping) or set(features) != {"has", "source", "kind"}:
            raise ProgramError(f"chip {name}: features are has, source and kind")
        has = features["has"]
        unknown = [entry for entry in has if entry not in FEATURES] if isinstance(has, list) else [has]
        if unknown:
            raise ProgramError(f"chip {name}: the feature {unknown[0]!r:.99} is unknown; use of {', '.join(FEATURES)}")
        _check_source(f"chip {name}: features", features)
        return cls(
            name=name,
            description=str(data.get("description", "")),
            arithmetic=str(data.get("arithmetic") or ""),
            features=frozenset(has),
            features_source=features["source"],
            features_kind=features["kind"],
            limits={key: _limit(name, key, entry) for key, entry in limits.items()},
        )

    def value(self, name: str) -> int | None:
        """The value of a limit; None where the profile has none."""
        return self.limits[name].value if name in self.limits else None


def load_chip(data: Mapping[str, Any], given: Mapping[str, int] | None = None) -> ChipProfile:
    """A profile, with limits that whoever asks gives by name, such as the flash of a microcontroller's part.

    Raises:
        ProgramError: see `ChipProfile.from_mapping`.
    """
    limits = dict(data["limits"]) if isinstance(data.get("limits"), Mapping) else data.get("limits")
    if isinstance(limits, dict):
        for name, value in (given or {}).items():
            limits[name] = {
                "value": value,
                "unit": LIMITS.get(name, ""),
                "source": "given with the check",
                "kind": "given",
            }
    return ChipProfile.from_mapping({**data, "limits": limits})


def _limit(chip: str, name: Any, data: Any) -> Limit:
    where = f"chip {chip}: limit {name}"
    if name not in LIMITS:
        raise ProgramError(f"{where} is unknown; use of {', '.join(LIMITS)}")
    if not isinstance(data, Mapping) or set(data) != set(_STATED):
        raise ProgramError(f"{where} needs {', '.join(_STATED)}")
    value = data["value"]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 48:
        raise ProgramError(f"{where} is {value!r:.99}; give a whole number above 0")
    if data["unit"] != LIMITS[name]:
        raise ProgramError(f"{where} is in {data['unit']!r:.99}; its unit is {LIMITS[name]}")
    _check_source(where, data)
    return Limit(name, value, data["unit"], data["source"], data["kind"])


def _check_source(where: str, data: Mapping[str, Any]) -> None:
    if not isinstance(data["source"], str) or not data["source"].strip():
        raise ProgramError(f"{where} has no source; state it as text")
    if data["kind"] not in KINDS:
        raise ProgramError(f"{where}: kind {data['kind']!r:.99} is unknown; use of {', '.join(KINDS)}")
