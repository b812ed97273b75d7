"""The stage of ``pumice export target=c``: the program as C99 for microcontrollers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..api.export import export_c
from ..api.programs import load
from ..errors import BackendUnavailable, PumiceError
from ..export.c import Generated, check_name, check_target, run_known, section_bytes
from ..program import digest
from ..terminal import Printer, Table
from ..train.settings import SystemSettings, read_section
from .build import apply_system
from .excerpt import excerpt
from .folder import RunFolder

FOLDER = "c"


@dataclass(frozen=True)
class CSettings:
    """Section ``c``.

    Attributes:
        name: what files, functions and types begin with.
        pack: whether weights of up to 4 bits share bytes: less flash, slower.
        sparse: whether matrices are kept without their zeros where that is smaller and faster.
        samples: test samples of the known answers, the shortest ones.
        events: of each of them, from its beginning, as they lie in a device's flash.
        targets: machines that the program is compiled for and measured on, of ``export.c.cross.TARGETS``.
    """

    name: str = "pumice"
    pack: bool = False
    sparse: bool = True
    samples: int = 2
    events: int = 256
    targets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_name(self.name)
        for target in self.targets:
            check_target(target)
        for what in ("samples", "events"):
            if getattr(self, what) < 1:
                raise PumiceError(f"c.{what}={getattr(self, what)} has to be at least 1")


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    read_section(CSettings, config, "c")
    read_section(SystemSettings, config, "system")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write the folder, try its known answers where this machine has a compiler, and return its figures.

    Raises:
        PumiceError: the program cannot be read, or the folder not be written to.
        BackendUnavailable: ``targets`` without the package ziglang.
        ParityError: the C program gives other logits than the simulator.
    """
    settings = read_section(CSettings, config, "c")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    program = load(folder.path / "program.npz")
    chosen, few = excerpt(config, system, settings.samples, settings.events)
    target, console = folder.path / FOLDER, Printer()
    form: dict[str, Any] = {"name": settings.name, "pack": settings.pack, "sparse": settings.sparse}
    # what is there did not finish
    export_c(program, target, few, **form, replace=True, threads=system.threads)
    generated = Generated(program, **form)
    figures: dict[str, Any] = {"constants_bytes": generated.constant_bytes, "state_bytes": generated.state_bytes}
    console.print(
        f"C program: {target / settings.name}.c and .h, {figures['constants_bytes']:,} bytes of constants in flash, "
        f"{figures['state_bytes']:,} bytes of RAM a network",
    )
    try:
        figures["known_answers"] = run_known(target, settings.name)
        console.print(f"compiled here: {figures['known_answers']}")
    except BackendUnavailable as error:
        figures["known_answers"] = None
        console.print(f"known answers SKIPPED: {error}")
    figures["targets"] = {each: asdict(section_bytes(generated, each)) for each in settings.targets}
    if figures["targets"]:
        console.print(_sizes(figures))
    return {"program": digest(program), "samples": chosen, "events": sum(len(times) for _, times in few), **figures}


def _sizes(figures: Mapping[str, Any]) -> Table:
    """Bytes of flash and RAM by machine."""
    table = Table(title="bytes, compiled with -Os by the clang of ziglang")
    for column in ("machine", "code", "constants", "flash", "RAM of a network"):
        table.add_column(column, justify="left" if column == "machine" else "right")
    for name, sizes in figures["targets"].items():
        flash, ram = sizes["code"] + sizes["constants"], sizes["ram"] + figures["state_bytes"]
        table.add_row(name, *(f"{number:,}" for number in (sizes["code"], sizes["constants"], flash, ram)))
    return table
