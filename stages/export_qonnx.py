"""The stage of ``pumice export target=qonnx``: parts without a state, for tools of quantized networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..api.export import export_qonnx
from ..api.programs import load
from ..errors import PumiceError
from ..export.qonnx import check_wide, dialect_of, kinds
from ..program import digest
from ..terminal import Printer
from ..train.settings import SystemSettings, read_section
from .build import apply_system
from .excerpt import excerpt
from .folder import RunFolder

FOLDER = "qonnx"


@dataclass(frozen=True)
class QonnxSettings:
    """Section ``qonnx``.

    Attributes:
        dialect: of `export.qonnx.DIALECTS`.
        leave_out: types of nodes that are not to be written.
        wide: whether sums that float32 does not hold are written as well.
        samples: test samples of the vectors, the shortest ones.
        events: of each of them, from its beginning.
    """

    dialect: str = "qonnx"
    leave_out: list[str] = field(default_factory=list)
    wide: bool = False
    samples: int = 2
    events: int = 256

    def __post_init__(self) -> None:
        check_wide(dialect_of(self.dialect, "qonnx.dialect"), self.wide, "qonnx.wide")
        kinds(self.leave_out, "qonnx.leave_out")
        for what in ("samples", "events"):
            if getattr(self, what) < 1:
                raise PumiceError(f"qonnx.{what}={getattr(self, what)} has to be at least 1")


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    read_section(QonnxSettings, config, "qonnx")
    read_section(SystemSettings, config, "system")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write the folder, compared in onnxruntime, and return its figures.

    Raises:
        PumiceError: the program cannot be read, has no part that can be written, or the folder not be written to.
        ParityError: onnxruntime gives other values than the program.
    """
    settings = read_section(QonnxSettings, config, "qonnx")
    system = read_section(SystemSettings, config, "system")
    apply_system(system)
    program = load(folder.path / "program.npz")
    _, few = excerpt(config, system, settings.samples, settings.events)
    target = folder.path / FOLDER
    written = export_qonnx(
        program,
        target,
        few,
        dialect=settings.dialect,
        leave_out=settings.leave_out,
        wide=settings.wide,
        replace=True,
    )
    console = Printer(highlight=False)
    for line in written.lines():
        console.print(line)
    console.print(f"written: {target}")
    parts, left_out = written.manifest["parts"], written.manifest["left_out"]
    return {
        "program": digest(program),
        "dialect": settings.dialect,
        "parts": {part["file"]: [entry["node"] for entry in part["nodes"]] for part in parts},
        "left_out": {entry["node"]: entry["why"] for entry in left_out},
        "compared": written.values,
        "differing": 0,
    }
