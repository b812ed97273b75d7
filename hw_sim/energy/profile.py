"""Energy profiles: published constants, each with its unit, process, voltage, source and kind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...program import ProgramError

PICOJOULES = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3}
KINDS = ("measured", "simulated", "assumed")
QUANTITIES = {
    "arithmetic": (
        *(f"add-int{width}" for width in (8, 16, 32, 64)),
        *(f"multiply-int{width}" for width in (8, 16, 32, 64)),
        "divide-int64",
        "root-int64",
        "add-fp32",
        "multiply-fp32",
        "divide-fp32",
        "root-fp32",
        "function-fp32",
    ),
    "synaptic": ("synaptic-operation", "neuron-update", "spike"),
}
"""What a profile may price, by its style."""

_STATED = ("unit", "process", "voltage", "source", "kind")
_NUMBERS = ("value", "low", "high")


@dataclass(frozen=True)
class Range:
    """An energy between two bounds, in picojoules."""

    low: float = 0.0
    high: float = 0.0

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, factor: float) -> Range:
        return Range(self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Constant:
    """One published or assumed energy.

    Attributes:
        name: what it is the energy of.
        energy: in picojoules; ``low`` and ``high`` differ where sources do.
        process: technology node.
        voltage: supply.
        source: publication and table, or for an assumption what it follows from.
        kind: ``measured``, ``simulated`` or ``assumed``.
    """

    name: str
    energy: Range
    process: str
    voltage: str
    source: str
    kind: str

    @classmethod
    def from_mapping(cls, name: str, data: Any) -> Constant:
        """From ``value``, or ``low`` and ``high``, and ``unit``, ``process``, ``voltage``, ``source``, ``kind``.

        Raises:
            ProgramError: names the constant and what is missing or wrong.
        """
        if not isinstance(data, Mapping):
            raise ProgramError(f"constant {name}: is not a mapping; give value, {', '.join(_STATED)}")
        for key in data:
            if key not in (*_STATED, *_NUMBERS):
                raise ProgramError(f"constant {name}: {key!r} is unknown; use {', '.join((*_NUMBERS, *_STATED))}")
        for key in _STATED:
            if not isinstance(data.get(key), str) or not data[key].strip():
                raise ProgramError(f"constant {name}: has no {key}; state it as text")
        if data["kind"] not in KINDS:
            raise ProgramError(f"constant {name}: kind {data['kind']!r} is unknown; use one of {', '.join(KINDS)}")
        if data["unit"] not in PICOJOULES:
            raise ProgramError(f"constant {name}: unit {data['unit']!r} is unknown; use {', '.join(PICOJOULES)}")
        if not ({"value"} == set(data) & set(_NUMBERS) or {"low", "high"} == set(data) & set(_NUMBERS)):
            raise ProgramError(f"constant {name}: needs either value, or low and high")
        bounds = [data["value"]] * 2 if "value" in data else [data["low"], data["high"]]
        for bound in bounds:
            number = isinstance(bound, int | float) and not isinstance(bound, bool)
            if not number or not math.isfinite(bound) or bound < 0:
                raise ProgramError(f"constant {name}: {bound!r} is not an energy; give a number of at least 0")
        if bounds[0] > bounds[1]:
            raise ProgramError(f"constant {name}: low {bounds[0]} is above high {bounds[1]}; exchange them")
        factor = PICOJOULES[data["unit"]]
        energy = Range(bounds[0] * factor, bounds[1] * factor)
        return cls(name, energy, data["process"], data["voltage"], data["source"], data["kind"])


@dataclass(frozen=True)
class MemoryLevel:
    """A memory: its capacity in bytes (None: unlimited), bits an access, and the energy of one access."""

    name: str
    capacity: int | None
    bits: int
    access: Constant

    @property
    def per_bit(self) -> Range:
        """Picojoules a bit, read or written."""
        return self.access.energy * (1 / self.bits)


@dataclass(frozen=True)
class EnergyProfile:
    """Constants of one technology or chip.

    Attributes:
        name: short name.
        style: ``arithmetic`` prices additions, multiplications and memory accesses; ``synaptic`` prices synaptic
            operations, neuron updates and spikes, memory included.
        description: what it stands for.
        constants: by quantity, see ``QUANTITIES``; what has none is reported as unpriced.
        memory: levels by growing capacity; empty where the constants hold it.
    """

    name: str
    style: str
    description: str
    constants: Mapping[str, Constant]
    memory: Sequence[MemoryLevel]

    @classmethod
    def from_mapping(cls, data: Mapping[str, Any]) -> EnergyProfile:
        """Check plain data, as a file of configs/hardware holds it.

        Raises:
            ProgramError: names the profile or the constant, and what is missing or wrong.
        """
        known = {"name", "style", "description", "constants", "memory"}
        if not isinstance(data, Mapping) or set(data) - known or not data.get("name"):
            raise ProgramError(f"an energy profile has the fields {', '.join(sorted(known))}, name at least")
        name, style = str(data["name"]), data.get("style", "arithmetic")
        if style not in QUANTITIES:
            raise ProgramError(f"profile {name}: style {style!r} is unknown; use one of {', '.join(QUANTITIES)}")
        stated, listed = data.get("constants") or {}, data.get("memory") or ()
        if not isinstance(stated, Mapping) or not isinstance(listed, Sequence) or isinstance(listed, str):
            raise ProgramError(f"profile {name}: constants are a mapping by name, memory is a list of levels")
        constants = {str(key): Constant.from_mapping(str(key), value) for key, value in stated.items()}
        for key in constants:
            if key not in QUANTITIES[style]:
                raise ProgramError(f"constant {key}: is not priced here; use one of {', '.join(QUANTITIES[style])}")
        levels = tuple(_level(item) for item in listed)
        capacities = [math.inf if level.capacity is None else level.capacity for level in levels]
        if sorted(set(capacities)) != capacities:
            raise ProgramError(f"profile {name}: memory levels must grow in capacity; sort them")
        return cls(name, style, str(data.get("description", "")), constants, levels)


def load_profile(path: str | Path) -> EnergyProfile:
    """Read a profile from a YAML file.

    Raises:
        ProgramError: the file is missing, is not YAML, or holds a constant that is not fully stated.
    """
    try:
        data = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProgramError(f"{path} does not exist; name an energy profile, such as configs/hardware/*.yaml") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProgramError(f"{path} cannot be read as YAML ({error}); mend it") from error
    return EnergyProfile.from_mapping(data)


def _level(data: Any) -> MemoryLevel:
    if not isinstance(data, Mapping) or not {"name", "capacity_bytes", "access_bits", "access"} == set(data):
        raise ProgramError("a memory level has the fields name, capacity_bytes (or null), access_bits and access")
    name, capacity, bits = str(data["name"]), data["capacity_bytes"], data["access_bits"]
    for what, number in (("capacity_bytes", capacity), ("access_bits", bits)):
        if not (isinstance(number, int) and number >= 1) and not (what == "capacity_bytes" and number is None):
            raise ProgramError(f"memory level {name}: {what} {number!r} is not a positive integer")
    return MemoryLevel(name, capacity, bits, Constant.from_mapping(f"access to {name}", data["access"]))
