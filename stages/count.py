"""The stage ``count``: operations, traffic, memory and estimated energy of the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..api.chips import fits_of
from ..api.count import count, energy_profile
from ..api.programs import load
from ..errors import PumiceError
from ..files import write_json
from ..hw_sim.chips import line, overview
from ..program import digest
from ..terminal import Printer
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
    energy_profile(config["hardware"])


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Count over the first test samples and price the counts; write ``counts.json``."""
    settings = read_section(CountSettings, config, "count")
    system = read_section(SystemSettings, config, "system")
    program = load(folder.path / "program.npz")
    data = build_data(config, read_section(TrainingSettings, config, "training"), system)
    samples = make_test_set(config, data).samples[: settings.samples]
    costs = count(program, samples, hardware=config["hardware"], threads=system.threads)
    fits = fits_of(program)
    integer, energy = costs.integer.to_dict(), {name: entry.to_dict() for name, entry in costs.energy.items()}
    write_json(
        folder.path / "counts.json",
        {
            "program": digest(program),
            "samples": costs.integer.samples,
            "integer": integer,
            "float32": costs.floating.to_dict(),
            "neurobench": costs.neurobench,
            "profile": asdict(costs.profile),
            "energy": energy,
            "chips": [line(fit) for fit in fits.values()],
        },
    )
    costs.print()
    Printer().print(overview(fits))
    totals = costs.integer.totals()
    return {
        "samples": costs.integer.samples,
        "per_event": integer["per_event"],
        "parameter_bytes": totals["parameter_bits"] / 8,
        "state_bytes": totals["state_bits"] / 8,
        "energy_pj_per_event": {name: entry["per_event"]["total"] for name, entry in energy.items()},
        "fits": {name: fit.fits for name, fit in fits.items()},
    }
