"""The stage of ``pumice export target=nir``: the float network as a NIR file, with test vectors beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import nn

from ..api.nir import check_namespace, export_nir
from ..api.programs import load
from ..errors import PumiceError
from ..export.nir import needs_own
from ..export.nir.layers import why_not
from ..export.nir.package import require_nir
from ..models.adlif.config import AdLIFConfig
from ..models.adlif.network import AdLIFNetwork
from ..program import digest
from ..terminal import Printer
from ..train.data.base import TaskDataModule
from ..train.data.batch import PaddedBatch
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import read_weights
from .build import apply_system, build_data, build_model, load_model
from .folder import RunFolder

FILE = "nir/network.nir"


@dataclass(frozen=True)
class NirSettings:
    """Section ``nir``.

    Attributes:
        dt: seconds of a step in the file.
        reset: of imported neurons; nothing of an export.
        writer: of imported files; likewise.
        refractory: of imported neurons, in steps; likewise.
        samples: test samples of the vectors, from the first.
        namespace: of nodes that NIR does not have; None for none.
    """

    dt: float = 1e-4
    samples: int = 4
    reset: str | None = None
    writer: str | None = None
    refractory: int = 0
    namespace: str | None = None

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        if not 0 < self.dt <= 1:
            raise PumiceError(f"nir.dt={self.dt} has to be above 0 and up to 1 second; snnTorch reads 1e-4")
        if self.samples < 1:
            raise PumiceError(f"nir.samples={self.samples} has to be at least 1")


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting, or the extra that is missing.
    """
    if read_section(NirSettings, config, "nir").namespace is None:
        require_nir()


def unavailable(config: Mapping[str, Any]) -> str | None:
    """Why NIR does not hold the configured model; with a namespace of nodes of Pumice's own it does."""
    if read_section(NirSettings, config, "nir").namespace is not None:
        return None
    return why_not(build_model(config, _data(config), initial=False))


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Write both files and return their figures.

    Raises:
        PumiceError: weights or program cannot be read, or the folder not be written to.
        ParityError: what is read back is not what the model holds.
    """
    settings = read_section(NirSettings, config, "nir")
    apply_system(read_section(SystemSettings, config, "system"))
    data = _data(config)
    model = load_model(config, data, read_weights(folder.path / "weights.safetensors"))
    held = folder.path / "program.npz"
    program = load(held) if held.exists() else None
    own, target, console = settings.namespace is not None and needs_own(model), folder.path / FILE, Printer()
    samples = [] if own else [values for values, _ in data.program_samples("test", settings.samples)]
    given = _batches(data, settings.samples) if own else samples
    figures = export_nir(model, target, given, program=program, dt=settings.dt, namespace=settings.namespace)
    codes = "no program: without integer codes" if program is None else "with the integer codes of program.npz"
    told = {"program": program and digest(program), "samples": len(samples), "dt": settings.dt, **figures}
    console.print(f"written and read back: {target}, float weights, {codes}")
    if own:
        console.print(
            f"{figures['nodes']} nodes, among them some of the namespace {settings.namespace}, which other readers "
            f"refuse by name; beside it {figures['samples']} test samples with the logits in float64"
        )
        return told
    console.print(
        f"beside it {len(samples)} test samples: {figures['spikes']:,} spikes, in {figures['neuron_steps']:,} steps"
    )
    neurons = _config(model)
    other = [reset for reset in dict.fromkeys(neurons.resets) if reset != "zero"]
    if other:
        console.print(
            f"note: its neurons reset otherwise than NIR's own equation says ({', '.join(other)}); the metadata say "
            "how, readers that do not look there reset to zero at once"
        )
    if neurons.refractory:
        console.print(
            f"note: its neurons are held for {neurons.refractory} steps after a spike, for which NIR has no word; the "
            "metadata say so, readers that do not look there let them spike at once again"
        )
    return told


def _batches(data: TaskDataModule, count: int) -> list[Any]:
    """The first test samples, a batch each; of series that are predicted their values and times."""
    found = list(islice(data.batches("test", 1), count))
    if all(isinstance(batch, PaddedBatch) for batch in found):
        return found
    return list(data.program_samples("test", count))


def _config(model: nn.Module) -> AdLIFConfig:
    assert isinstance(model, AdLIFNetwork)
    return model.config


def _data(config: Mapping[str, Any]) -> TaskDataModule:
    training = read_section(TrainingSettings, config, "training")
    return build_data(config, training, read_section(SystemSettings, config, "system"))
