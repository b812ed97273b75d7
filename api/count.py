"""What a program costs: operations, traffic, memory, and an estimate of energy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from ..errors import PumiceError
from ..hw_sim.counts import Counts, count_float, neurobench, print_counts
from ..hw_sim.counts import count as count_integers
from ..hw_sim.energy import Energy, EnergyProfile, energy, print_energy
from ..hw_sim.simulator import run
from ..program import Program
from ..terminal import Printer
from .presets import settings_of
from .samples import as_samples, told


@dataclass(frozen=True)
class Costs:
    """Counts of a program over some samples, and what they cost.

    Attributes:
        integer: operations, traffic and memory of the integer program.
        floating: the same graph in float32, nothing skipped.
        neurobench: the counts by NeuroBench's definitions, by its names; None where it defines none.
        profile: the constants behind the energy.
        energy: in picojoules, of ``integer`` and, where the profile has prices for floats, ``float32``.
    """

    integer: Counts
    floating: Counts
    neurobench: Mapping[str, float] | None
    profile: EnergyProfile
    energy: Mapping[str, Energy]

    def print(self, console: Console | None = None) -> None:
        """The tables of counts and energy."""
        console = console or Printer()
        print_counts(self.integer, self.floating, console)
        print_energy(self.energy["integer"], self.energy.get("float32"), console)


def count(
    program: Program,
    samples: Iterable[Any],
    *,
    hardware: str | Mapping[str, Any] | EnergyProfile = "horowitz-45nm",
    threads: int | None = None,
) -> Costs:
    """Count what a program does on whole samples, and price it.

    Args:
        program: any.
        samples: see `simulate`; traces of all of them are held in memory, so a few dozen do.
        hardware: the constants of energy: a file of configs/hardware (``"horowitz-45nm"``, ``"loihi-1"``), its values,
            or an `EnergyProfile`.
        threads: of the simulator; all cores if not given.

    Raises:
        PumiceError: a sample that the program cannot take, a node that cannot be counted, or a constant without its
            unit or source.
    """
    profile = energy_profile(hardware)
    given = as_samples(program, samples)
    with told():
        traces = run(program, given, trace=True, threads=threads)
        integer, floating = count_integers(program, traces), count_float(program, traces)
        priced = {"integer": energy(integer, profile)}
        if profile.style == "arithmetic":  # synaptic operations of floats have no price
            priced["float32"] = energy(floating, profile)
        return Costs(integer, floating, neurobench(integer), profile, priced)


def energy_profile(hardware: str | Mapping[str, Any] | EnergyProfile) -> EnergyProfile:
    """The constants of a file of configs/hardware, or of a mapping like one.

    Raises:
        PumiceError: an unknown name, or a constant without its unit or source.
    """
    if isinstance(hardware, EnergyProfile):
        return hardware
    values = settings_of("hardware", hardware)
    try:
        with told():
            return EnergyProfile.from_mapping(values)
    except PumiceError as error:
        raise PumiceError(f"hardware: {error}") from error
