"""Running stages in a run folder: which of them, in which order, and which have finished already."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from ..errors import PumiceError
from ..program import ProgramError
from ..records import LOG
from ..terminal import Level, Printer, kept_in, level
from .folder import RunFolder, open_run_folder, timed
from .shared import take_from_sibling
from .stage import Stage
from .table import ALL, after, below

CONSOLE, BRIEF = Printer(), Printer(Level.BRIEF)
"""What prints what a single stage tells, and what a whole run tells of it."""


class StageModule(Protocol):
    """What the module of a stage defines; see `Stage.module`."""

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuse bad settings before anything is written."""

    def run(self, config: Mapping[str, Any], folder: RunFolder) -> Mapping[str, Any]:
        """Do the stage's work in ``folder`` and return its figures."""


def run_stages(
    config: Mapping[str, Any],
    names: Collection[str],
    path: Path,
    redo: Sequence[str] = (),
    remember: Callable[[Path], None] | None = None,
    others: bool = False,
    instead: Mapping[str, StageModule] | None = None,
) -> float | None:
    """Run the stages ``names`` of the tables in the run folder ``path``, leaving out those that have finished.

    Args:
        config: the resolved configuration, plain data.
        names: of the stages; the table says their order.
        path: the run folder; made where it does not exist.
        redo: stages to do anew, and all after them; ``all`` for every one.
        remember: called with the folder once it is locked and its settings are accepted, to keep what was asked for.
        others: the folder is that of a job of several: see `RunFolder.check_settings`; stages that another job has
            finished with the same settings and inputs are taken from there.
        instead: what does the work of a stage in place of its module.

    Returns:
        the validation accuracy of the last of these stages that has one, else None.

    Raises:
        PumiceError: bad settings, a folder with other settings, a missing input, a locked folder.
    """
    stale = stages_to_redo(redo)
    chosen, modules = possible_stages([stage for stage in ALL if stage.name in names], config, instead)
    for stage in chosen:
        modules[stage.name].check(config)
    if follows(config):
        _follow(chosen, modules, RunFolder(path, config), stale)
        return None
    if not path.exists():  # before the folder is made
        RunFolder(path, config).check_needs(chosen[0])
    shared = all(stage.shared for stage in chosen) and not stale
    with open_run_folder(path, config, shared) as folder:
        for stage in below(chosen[-1]):
            if stage.name not in stale:
                folder.check_settings(stage, others)
        with kept_in(path / LOG):
            if level() == Level.BRIEF:
                BRIEF.print(f"in {path}:")
            for stage in ALL:
                if stage.name in stale:
                    folder.forget(stage)
            if remember is not None:
                remember(path)
            for stage in chosen:
                _run_stage(stage, modules[stage.name], folder, share=others and stage.name not in stale)
            return _validation_accuracy(folder, chosen)


def follows(config: Mapping[str, Any]) -> bool:
    """Whether this is one of several processes that srun or torchrun has started; that of rank 0 leads."""
    from ..train.settings import SystemSettings, read_section

    system = read_section(SystemSettings, config, "system")
    if system.processes == 1:
        return False  # without Lightning, whose import takes seconds
    from ..train.distributed import started_rank

    return bool(started_rank(system))


def _follow(
    chosen: Sequence[Stage], modules: Mapping[str, StageModule], folder: RunFolder, stale: Collection[str]
) -> None:
    """Take part in those stages that several processes share, and write nothing."""
    for stage in chosen:
        follow = getattr(modules[stage.name], "follow", None)
        if follow is not None and (stage.name in stale or not folder.is_finished(stage)):
            follow(folder.config, folder, stage.name in stale)


def stage_module(stage: Stage) -> StageModule:
    """The module of a stage, imported."""
    return cast(StageModule, import_module(f".{stage.module}", __package__))


def export_stage(target: str) -> Stage:
    """The stage of an export's target.

    Raises:
        PumiceError: there is no such target.
    """
    targets = {stage.target: stage for stage in ALL if stage.target}
    if target not in targets:
        raise PumiceError(f"target={target} is unknown; use one of: {', '.join(targets)}")
    return targets[target]


def possible_stages(
    asked: Sequence[Stage], config: Mapping[str, Any], instead: Mapping[str, StageModule] | None = None
) -> tuple[list[Stage], dict[str, StageModule]]:
    """Those of ``asked`` that the configured model and task can go through, and the modules of all.

    The others are named, with the reason.

    Raises:
        PumiceError: it is the only one that was asked for.
    """
    modules = {stage.name: (instead or {}).get(stage.name) or stage_module(stage) for stage in asked}
    possible: list[Stage] = []
    left: list[str] = []
    missing: set[str] = set()
    for stage in asked:
        reason = _why_not(stage, modules[stage.name], config)
        if reason and len(asked) == 1:
            raise PumiceError(reason)
        if reason and not stage.silent:
            BRIEF.print(f"left out: {reason}")
        if reason or missing & set(stage.needs):
            left += [] if stage.silent else [stage.name]
            missing.update(stage.writes)
        else:
            possible.append(stage)
    if left:
        BRIEF.print(f"stages left out: {', '.join(left)}")
    return possible, modules


def _why_not(stage: Stage, module: StageModule, config: Mapping[str, Any]) -> str | None:
    if not stage.takes(config):
        return stage.refusal
    unavailable: Callable[[Mapping[str, Any]], str | None] | None = getattr(module, "unavailable", None)
    return unavailable(config) if unavailable else None


def stages_to_redo(redo: Sequence[str]) -> set[str]:
    """The stages to do anew: those asked for, and all after them."""
    names = [stage.name for stage in ALL]
    for name in redo:
        if name != "all" and name not in names:
            raise PumiceError(f"redo={name} is no stage; use redo=all or redo=[...] with some of: {', '.join(names)}")
    asked = [stage for stage in ALL if stage.name in redo or "all" in redo]
    return {other.name for stage in asked for other in after(stage)}


def _validation_accuracy(folder: RunFolder, stages: Sequence[Stage]) -> float | None:
    """What the last of ``stages`` recorded."""
    found = None
    for stage in stages:
        record = folder.record(stage)
        assert record is not None
        figures = record.figures
        kept = figures[figures["chosen"]] if "chosen" in figures else figures  # of a quantized model
        found = (kept.get("validation") or kept.get("best") or {}).get("accuracy", found)
    return found


def _run_stage(stage: Stage, module: StageModule, folder: RunFolder, share: bool = False) -> None:
    folder.check_needs(stage)
    if folder.is_finished(stage) and not stage.shared:
        BRIEF.print(f"{stage.name}: finished earlier (redo=[{stage.name}] does it anew)")
        return
    folder.forget_if_inputs_changed(stage)
    if share and not stage.shared and (sibling := take_from_sibling(stage, folder)):
        BRIEF.print(f"{stage.name}: taken from {sibling}, of the same settings and inputs")
        return
    summary = getattr(module, "summary", stage.summary)
    CONSOLE.print(f"{stage.name}: {summary}, in {folder.path}", style="bold")
    if not (stage.shared and folder.is_finished(stage)):
        folder.begin(stage)
    with timed() as seconds:
        try:
            figures = module.run(folder.config, folder)
        except ProgramError as error:
            raise PumiceError(str(error)) from error
    folder.finish(stage, figures, seconds[0])
    BRIEF.print(f"{stage.name:<14}{seconds[0]:>8,.1f} s  {summary}", highlight=False)
