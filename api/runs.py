"""What a run folder holds, for reading."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from ..archives import load_arrays
from ..errors import PumiceError
from ..files import check_inside, read_json, read_text
from ..program import Program
from ..quantize.frozen import FrozenModel
from ..quantize.weights import load_frozen
from ..records import METRICS, StageRecord, read_records
from ..train.evaluate import PredictedSeries, Predictions
from .models import load_model
from .programs import load


class Run:
    """A run folder of ``pumice run``; `open_run` opens it. Nothing in it is changed.

    Everything is read when it is first asked for; what has not run yet is told by a `PumiceError` that names the stage.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, finished: {', '.join(self.finished) or 'nothing'})"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration, by section."""
        source = self.path / "config.yaml"
        try:
            found = yaml.safe_load(read_text(source))
            if not isinstance(found, dict):
                raise ValueError("it holds no settings")
        except FileNotFoundError:
            raise PumiceError(f"{source} does not exist; name the folder of a run (pumice run run_dir=...)") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise PumiceError(f"{source} cannot be read as settings ({str(error).splitlines()[0]})") from error
        return found

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """The figures of every finished stage, by its name."""
        found = read_json(self.path / METRICS)
        if not isinstance(found, dict):
            raise PumiceError(f"{self.path / METRICS} is damaged: it holds no figures by stage")
        return found

    @cached_property
    def stages(self) -> Mapping[str, StageRecord]:
        """The record of every stage that was begun, by its name: settings, figures, digests, versions, seconds."""
        return read_records(self.path)

    @property
    def finished(self) -> list[str]:
        """The stages that have finished."""
        return [name for name, record in self.stages.items() if record.finished]

    @cached_property
    def model(self) -> nn.Module:
        """The trained float model, in evaluation mode."""
        return load_model(self.path)

    @cached_property
    def program(self) -> Program:
        """The integer program."""
        return load(self.path / "program.npz")

    @cached_property
    def frozen(self) -> FrozenModel[Any]:
        """The frozen QAT model: the program in PyTorch and float64."""
        return load_frozen(self.path / "quantized.safetensors")[0]

    @cached_property
    def predictions(self) -> Mapping[str, Predictions | PredictedSeries]:
        """What the float model said of each split: logits and labels, or series and what they should have been."""
        arrays = load_arrays(self.path / "predictions.npz", "evaluate")
        found: dict[str, Predictions | PredictedSeries] = {}
        for split in dict.fromkeys(name.partition("_")[0] for name in arrays):
            named = {name.removeprefix(f"{split}_"): array for name, array in arrays.items() if name.startswith(split)}
            if {"logits", "labels"} <= set(named) <= {"logits", "labels", "speakers"}:
                found[split] = Predictions(**named)
            elif set(named) == {"outputs", "targets"}:
                found[split] = PredictedSeries(**named)
        return found

    @property
    def report(self) -> Path | None:
        """Where the report lies, if there is one."""
        page = self.path / "report.html"
        return page if page.is_file() else None


def open_run(path: str | Path) -> Run:
    """Open a run folder for reading: its settings, figures, models, program, predictions and report.

    Args:
        path: the folder, as ``run_dir`` names it on the command line.

    Raises:
        PumiceError: it is no folder of a run, or something in it leads out of it.
    """
    path = Path(path)
    if not path.is_dir():
        raise PumiceError(f"{path} is no folder; name the folder of a run (pumice run run_dir=...)")
    check_inside(path)
    run = Run(path)
    if not run.stages:
        raise PumiceError(f"{path} holds no stage of a run; name the folder of a run (pumice run run_dir=...)")
    return run
