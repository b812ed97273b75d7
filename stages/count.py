"""The stage ``count``: operations, traffic, memory and estimated energy of the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from ..errors import PumiceError
from ..files import write_json
from ..hw_sim import simulator
from ..hw_sim.counts import count, count_float, neurobench, print_counts
from ..hw_sim.energy import EnergyProfile, energy, print_energy
from ..program import ProgramError, digest, load
from ..train.settings import SystemSettings, TrainingSettings, read_section
from .build import build_data
from .decisions import make_test_set
from .folder import RunFolder


@dataclass(frozen=True)
class CountSettings:
    """Section ``count``. samples: test samples that are counted, the first ones."""

    samples: int = 20

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise PumiceError(f"count.samples={self.samples} has to be at least 1")


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting or the constant.
    """
    read_section(CountSettings, config, "count")
    try:
        EnergyProfile.from_mapping(config["hardware"])
    except ProgramError as error:
        raise PumiceError(f"hardware: {error}") from error


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Count over the first test samples and price the counts; write ``counts.json``."""
    settings = read_section(CountSettings, config, "count")
    system = read_section(SystemSettings, config, "system")
    profile = EnergyProfile.from_mapping(config["hardware"])
    program = load(folder.path / "program.npz")
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    samples = make_test_set(config, data).samples[: settings.samples]
    traces = simulator.run(program, samples, trace=True, threads=system.threads)
    integer, floating = count(program, traces), count_float(program, traces)
    priced = {"integer": energy(integer, profile)}
    if profile.style == "arithmetic":  # synaptic operations of floats have no price
        priced["float32"] = energy(floating, profile)
    result = {
        "program": digest(program),
        "samples": integer.samples,
        "integer": integer.to_dict(),
        "float32": floating.to_dict(),
        "neurobench": neurobench(integer),
        "profile": asdict(profile),
        "energy": {name: entry.to_dict() for name, entry in priced.items()},
    }
    write_json(folder.path / "counts.json", result)
    console = Console()
    print_counts(integer, floating, console)
    print_energy(priced["integer"], priced.get("float32"), console)
    return {
        "samples": integer.samples,
        "per_event": result["integer"]["per_event"],
        "parameter_bytes": integer.totals()["parameter_bits"] / 8,
        "state_bytes": integer.totals()["state_bits"] / 8,
        "energy_pj_per_event": {name: entry["per_event"]["total"] for name, entry in result["energy"].items()},
    }
