"""Weights that were trained elsewhere, in place of the stage ``train``: a run folder from which all others go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor, from_numpy, nn

from ..errors import PumiceError
from ..export.nir.imported import read_imported
from ..models.adlif.network import AdLIFNetwork
from ..models.adlif.reference_weights import reference_state_dict as of_adlif
from ..models.fit import fitted_state, load_fitted
from ..models.real_s5.classifier import RealS5Classifier
from ..models.real_s5.config import CHOICES as REAL_S5_CHOICES
from ..models.real_s5.reference_weights import reference_state_dict as of_event_ssm_torch
from ..models.s5.classifier import S5Classifier
from ..models.s5.reference_weights import reference_state_dict as of_event_ssm
from ..records import read_record, versions
from ..terminal import Printer
from ..train.data.base import TaskDataModule
from ..train.evaluate import accuracy_of, predict
from ..train.foreign import read_weights
from ..train.settings import SystemSettings, TrainingSettings, read_section
from ..train.weights import save_weights
from .build import apply_system, build_data, build_model
from .export_nir import NirSettings
from .folder import RunFolder, file_digest
from .run import run_stages
from .train import check as check_training

STAGE = "train"
OWN_WRAPPER = "model."
"""What the module that trains a model puts before its names, in checkpoints."""


def _tensors(source: Path, config: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    return read_weights(source), ()


def _nir(source: Path, config: Mapping[str, Any]) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    settings = read_section(NirSettings, config, "nir")
    found = read_imported(source, settings.reset, settings.dt, settings.writer, settings.refractory)
    return {name: from_numpy(values) for name, values in found.state.items()}, found.notes


@dataclass(frozen=True)
class Format:
    """Whose names the weights have.

    Attributes:
        model: the float models that such weights belong to.
        state: from a model of the right settings and the weights by their names to its state dict.
        paired: whether such weights were trained with the interval *after* an event (``task.pairing=next``).
        recurrences: whether the test set is evaluated by each recurrence of the model, where the data is there.
        read: from the file and the configuration to the weights, and to sentences on how it was understood.
    """

    model: type[nn.Module]
    state: Callable[[Any, Mapping[str, Tensor]], dict[str, Tensor]]
    paired: bool = False
    recurrences: bool = False
    read: Callable[[Path, Mapping[str, Any]], tuple[Mapping[str, Tensor], tuple[str, ...]]] = _tensors


def own_state(model: nn.Module, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of weights that have the model's own names.

    Raises:
        PumiceError: a weight is missing, left over or of another shape.
    """
    names = {name: name for name in model.state_dict()}
    if not names.keys() & given.keys() and all(name.startswith(OWN_WRAPPER) for name in given):
        given = {name.removeprefix(OWN_WRAPPER): value for name, value in given.items()}
    return fitted_state(model, given, names)


FORMATS: dict[str, Format] = {
    "weights": Format(nn.Module, own_state),
    "event-ssm": Format(S5Classifier, of_event_ssm, paired=True),
    "event-ssm-torch": Format(RealS5Classifier, of_event_ssm_torch, paired=True, recurrences=True),
    "se-adlif": Format(AdLIFNetwork, of_adlif),
    "nir": Format(nn.Module, own_state, read=_nir),
}


class ImportedWeights:
    """What the stage ``train`` is where nothing is trained (`stages.run.StageModule`)."""

    summary = "take weights that were trained elsewhere"

    def __init__(self, format_name: str, source: Path) -> None:
        self.name, self.format, self.source = format_name, FORMATS[format_name], source

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse settings or weights that do not fit, before anything is written.

        Raises:
            PumiceError: naming the setting, or the weights with the shapes of both sides.
        """
        check_training(config)
        self._model(config)

    def run(self, config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
        """Write ``weights.safetensors`` and return the figures; none says that validation chose these weights."""
        model, notes = self._model(config)
        imported: dict[str, Any] = {"format": self.name, "file": self.source.name, "sha256": file_digest(self.source)}
        imported |= {"understood": list(notes)} if notes else {}
        info = {"format": 1, "task": dict(config["task"]), "model": dict(config["model"]), "versions": versions()}
        save_weights(folder.path / "weights.safetensors", model, {**info, "imported": imported})
        parameters = sum(parameter.numel() for parameter in model.parameters())
        console = Printer()
        console.print(f"{parameters:,} parameters from {self.source}", highlight=False)
        for note in notes:
            console.print(f"note: {note}", highlight=False)
        if self.format.paired and config["task"].get("pairing", "next") != "next":
            console.print(
                "note: such weights were trained with the interval after each event; task.pairing=next feeds them so",
                highlight=False,
            )
        figures = {"parameters": parameters, "imported": imported, "selected_on": None, "best": None}
        if self.format.recurrences:
            figures["recurrences"] = _accuracies(config, model, console)
        return figures

    def _model(self, config: Mapping[str, Any]) -> tuple[nn.Module, tuple[str, ...]]:
        model = build_model(config, _data(config), initial=False)
        if not isinstance(model, self.format.model):
            raise PumiceError(
                f"weights of {self.name} do not belong to a model of family {config['model'].get('family')}; choose "
                "another by model=..."
            )
        given, notes = self.format.read(self.source, config)
        load_fitted(model, self.format.state(model, given))
        return model.eval(), notes


def _data(config: Mapping[str, Any]) -> TaskDataModule:
    training, system = (
        read_section(TrainingSettings, config, "training"),
        read_section(SystemSettings, config, "system"),
    )
    return build_data(config, training, system)


def _accuracies(config: Mapping[str, Any], model: nn.Module, console: Console) -> dict[str, Any] | None:
    """Accuracy on the test set by each recurrence; None where there is no data."""
    apply_system(read_section(SystemSettings, config, "system"))
    data = _data(config)
    try:
        data.samples("test")
    except PumiceError as error:
        console.print(f"note: the recurrences are not compared: {error}", highlight=False)
        return None
    found, state = {}, model.state_dict()
    for name in REAL_S5_CHOICES["recurrence"]:
        other = build_model({**config, "model": {**config["model"], "recurrence": name}}, data)
        load_fitted(other, state)
        found[name] = accuracy_of(predict(other, data.batches("test")))
        console.print(f"recurrence {name}: {found[name]['accuracy']:.2%} of {found[name]['samples']} test samples")
    return found


def import_weights(
    config: Mapping[str, Any],
    format_name: str,
    source: Path,
    path: Path,
    redo: Sequence[str] = (),
    remember: Callable[[Path], None] | None = None,
) -> None:
    """Make, in the run folder ``path``, what ``train`` would leave there, of the weights in ``source``.

    Args:
        config: the resolved configuration, plain data.
        format_name: one of `FORMATS`.
        source: of the weights.
        path: the run folder.
        redo: as `run_stages`.
        remember: as `run_stages`.

    Raises:
        PumiceError: weights that cannot be read or do not fit, or a folder that holds others.
    """
    module = ImportedWeights(format_name, source)
    if STAGE not in redo and "all" not in redo:
        record = read_record(path, STAGE)
        known = (record.figures.get("imported") or {}) if record else {}
        if record and source.is_file() and known.get("sha256") != file_digest(source):
            raise PumiceError(
                f"{path} holds other weights already; choose another run_dir or replace them with redo=[{STAGE}]"
            )
    run_stages(config, (STAGE,), path, redo, remember, instead={STAGE: module})
