"""Running stages in a run folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ..errors import PumiceError
from ..files import atomic_path
from ..program import ProgramError
from ..stages.folder import RunFolder, Stage, open_run_folder, timed
from ..stages.table import STAGES
from .overrides import save_overrides

CONSOLE = Console()
LONGEST_NAME = 200


def run_stages(config: DictConfig, names: tuple[str, ...]) -> float | None:
    """Run the stages ``names`` of the list in the configured run folder, leaving out those that have finished.

    Returns:
        what sweepers optimize: the validation accuracy of the last of these stages that has one, else None.

    Raises:
        PumiceError: bad settings, a folder with other settings, a missing input, a locked folder.
    """
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    redo = _stages_to_redo(plain.pop("redo"))
    path = run_folder_path(plain.pop("run_dir"))
    chosen = [stage for stage in STAGES if stage.name in names]
    modules = {stage.name: import_module(f"..stages.{stage.target}", __package__) for stage in chosen}
    chosen = _possible(chosen, modules, plain)
    last = STAGES.index(chosen[-1])
    for stage in chosen:
        modules[stage.name].check(plain)
    if not path.exists():  # before the folder is made
        RunFolder(path, plain).check_needs(chosen[0])
    with open_run_folder(path, plain) as folder:
        for stage in STAGES[: last + 1]:
            if stage.name not in redo:
                folder.check_settings(stage, others=HydraConfig.get().mode == RunMode.MULTIRUN)
        _forget_stale(folder, redo)
        _save_settings(path, config, plain)
        for stage in chosen:
            _run_stage(stage, modules[stage.name], folder, plain)
        return _objective(folder, chosen)


def _objective(folder: RunFolder, stages: list[Stage]) -> float | None:
    """The validation accuracy that the last of ``stages`` recorded."""
    found = None
    for stage in stages:
        figures = folder.record(stage)["figures"]
        kept = figures[figures["chosen"]] if "chosen" in figures else figures  # of a quantized model
        found = (kept.get("validation") or kept.get("best") or {}).get("accuracy", found)
    return found


def _possible(chosen: list[Stage], modules: Mapping[str, Any], config: Mapping[str, Any]) -> list[Stage]:
    """Those of ``chosen`` that the configured model and task can go through; the others are named, with the reason.

    Raises:
        PumiceError: it is the only one that was asked for.
    """
    possible: list[Stage] = []
    left: list[str] = []
    missing: set[str] = set()
    for stage in chosen:
        unavailable = getattr(modules[stage.name], "unavailable", None)
        reason = unavailable(config) if unavailable else None
        if reason and len(chosen) == 1:
            raise PumiceError(reason)
        if reason and not stage.silent:
            CONSOLE.print(f"left out: {reason}", soft_wrap=True)
        if reason or missing & set(stage.needs):
            left += [] if stage.silent else [stage.name]
            missing.update(stage.writes)
        else:
            possible.append(stage)
    if left:
        CONSOLE.print(f"stages left out: {', '.join(left)}", soft_wrap=True)
    return possible


def run_folder_path(run_dir: str | None) -> Path:
    """The run folder of this job: as configured, by task, model and seed, or below the folder of a multirun."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return Path(str(run_dir)) / (job_folder(hydra.job.override_dirname) or str(hydra.job.num))
    return Path(str(run_dir))


def job_folder(settings: str) -> str:
    """The name of a job's folder: its settings, in characters that run_dir=... takes without quotes.

    Where that loses characters, or the name would become longer than systems allow, a digest keeps it unique.
    """
    name = re.sub(r"[^\w.-]", "-", settings, flags=re.ASCII)
    if name == settings and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"


def _stages_to_redo(redo: Any) -> set[str]:
    """The stages to do anew: those asked for, and all after them."""
    asked = [redo] if isinstance(redo, str) else list(redo or [])
    names = [stage.name for stage in STAGES]
    for name in asked:
        if name != "all" and name not in names:
            raise PumiceError(f"redo={name} is no stage; use redo=all or redo=[...] with some of: {', '.join(names)}")
    first = min((0 if name == "all" else names.index(name) for name in asked), default=len(names))
    return set(names[first:])


def _forget_stale(folder: RunFolder, redo: set[str]) -> None:
    for stage in STAGES:
        if stage.name in redo:
            folder.forget(stage)


def _save_settings(path: Path, config: DictConfig, plain: dict[str, Any]) -> None:
    hydra = HydraConfig.get()
    sources = hydra.runtime.config_sources
    config_dir = next((source.path for source in sources if source.provider == "command-line"), None)
    save_overrides(path, list(hydra.overrides.task), config_dir)
    with atomic_path(path / "config.yaml") as target:
        OmegaConf.save(OmegaConf.create(plain), target)


def _run_stage(stage: Stage, module: Any, folder: RunFolder, plain: dict[str, Any]) -> None:
    folder.check_needs(stage)
    if folder.is_finished(stage):
        CONSOLE.print(f"[bold]{stage.name}[/bold]: finished earlier (redo=\\[{stage.name}] does it anew)")
        return
    folder.forget_if_inputs_changed(stage)
    CONSOLE.print(f"[bold]{stage.name}[/bold]: {stage.summary}, in {folder.path}", soft_wrap=True)
    folder.begin(stage)
    with timed() as seconds:
        try:
            figures = module.run(plain, folder)
        except ProgramError as error:
            raise PumiceError(str(error)) from error
    folder.finish(stage, figures, seconds[0])


TARGETS = {"onnx": "export-onnx", "lava": "export-lava", "netx": "export-netx"}
"""The stage of each target."""


def export(config: DictConfig) -> float | None:
    """Run the stage of the target; see `run_stages`.

    Raises:
        PumiceError: an unknown target.
    """
    if config.target not in TARGETS:
        raise PumiceError(f"target={config.target} is unknown; use one of: {', '.join(TARGETS)}")
    return run_stages(config, (TARGETS[config.target],))
