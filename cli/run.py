"""From Hydra's configuration to stages of a run folder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ..errors import PumiceError
from ..files import atomic_path
from ..stages.dry import plan_stages
from ..stages.run import export_stage, follows, run_stages
from ..stages.summary import print_summary
from ..terminal import shown
from .overrides import save_overrides

Remember = Callable[[Path], None]

LONGEST_NAME = 200


def stages(config: DictConfig, names: tuple[str, ...]) -> float | None:
    """Run the stages ``names`` in the configured run folder, which remembers the overrides given.

    Returns:
        what sweepers optimize: the validation accuracy of the last of these stages that has one, else None.

    Raises:
        PumiceError: see `pumice.stages.run.run_stages`.
    """
    plain, path, again, remember = _opened(config)
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    with shown(plain["logging"]["progress"]):
        return run_stages(plain, names, path, again, remember, others=multirun)


def whole(config: DictConfig, names: tuple[str, ...]) -> float | None:
    """Run all stages, and say in the end what has been found; see `stages`."""
    plain, path, *_ = _opened(config)
    found = stages(config, names)
    if not follows(plain):
        print_summary(path)
    return found


def planned(config: DictConfig, *names: Any) -> None:
    """Print what `stages` would do, and do nothing; without names the export of the configured target.

    Raises:
        PumiceError: what `stages` would refuse.
    """
    plain, path, again, _ = _opened(config)
    chosen = names[0] if names else (export_stage(config.target).name,)
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    rows = plan_stages(plain, chosen, path, again, multirun)
    print("\n".join([f"in {path}:", *(f"  {name:<14}{what}" for name, what in rows)]))


def imported(config: DictConfig, format_name: str, source: str) -> None:
    """Make a run folder of the weights in the file ``source``; see `pumice.stages.imports.import_weights`.

    Raises:
        PumiceError: weights that cannot be read or do not fit the configured model.
    """
    from ..stages.imports import import_weights

    plain, path, again, remember = _opened(config)
    import_weights(plain, format_name, Path(source), path, again, remember)


def _opened(config: DictConfig) -> tuple[dict[str, Any], Path, list[str], Remember]:
    """The plain configuration, the run folder, the stages to do anew, and what writes down what was asked for."""
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    redo, hydra = plain.pop("redo"), HydraConfig.get()
    run_dir = plain.pop("run_dir")
    if run_dir in (None, ""):
        raise PumiceError(
            "run_dir is empty; name the folder of the run, or leave run_dir out for runs/TASK/MODEL-seedN"
        )
    path = Path(str(run_dir))
    if hydra.mode == RunMode.MULTIRUN:
        path /= job_folder(hydra.job.override_dirname) or str(hydra.job.num)

    def remember(folder: Path) -> None:
        sources = hydra.runtime.config_sources
        config_dir = next((source.path for source in sources if source.provider == "command-line"), None)
        save_overrides(folder, list(hydra.overrides.task), config_dir, plain)
        with atomic_path(folder / "config.yaml") as target:
            OmegaConf.save(OmegaConf.create(plain), target)

    return plain, path, [redo] if isinstance(redo, str) else redo or [], remember


def export(config: DictConfig) -> float | None:
    """Run the stage of the target; see `stages`.

    Raises:
        PumiceError: an unknown target.
    """
    return stages(config, (export_stage(config.target).name,))


def job_folder(settings: str) -> str:
    """The name of a job's folder: its settings, in characters that run_dir=... takes without quotes.

    Where that loses characters, or the name would become longer than systems allow, a digest keeps it unique.
    """
    name = re.sub(r"[^\w.-]", "-", settings, flags=re.ASCII)
    if name == settings and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(settings.encode()).hexdigest()[:12]}"
