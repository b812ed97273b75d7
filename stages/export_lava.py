"""The stage of ``pumice export target=lava``: a folder that runs the program as a Lava network on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.export import export_lava
from ..api.programs import load
from ..errors import PumiceError
from ..program import digest
from ..terminal import Printer
from ..train.settings import SystemSettings, read_section
from .build import apply_system
from .excerpt import excerpt
from .folder import RunFolder

FOLDER = "lava"


@dataclass(frozen=True)
class LavaSettings:
    """Section ``lava``.

    Attributes:
        samples: how many test samples the bundle holds, the shortest ones.
    """

    samples: int = 2

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise PumiceError(f"lava.samples={self.samples} has to be at least 1")


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    read_section(LavaSettings, config, "lava")
    read_section(SystemSettings, config, "system")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write the bundle with a few test samples and the simulator's logits of these; return its figures.

    Raises:
        PumiceError: the program cannot be read or does not split into layers, or the folder cannot be written to.
    """
    settings = read_section(LavaSettings, config, "lava")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    program = load(folder.path / "program.npz")
    chosen, few = excerpt(config, system, settings.samples)
    target = folder.path / FOLDER
    export_lava(program, target, few, replace=True, threads=system.threads)  # what is there did not finish
    console = Printer()
    console.print(f"bundle of test samples {', '.join(map(str, chosen))}: {target}")
    console.print(f"to run it: cd {target} && uv run run.py (README.md there tells more)")
    return {"program": digest(program), "samples": chosen, "events": sum(len(times) for _, times in few)}
