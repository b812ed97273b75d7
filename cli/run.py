"""From Hydra's configuration to stages of a run folder."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ..files import atomic_path
from ..stages.run import export_stage, run_stages
from .overrides import save_overrides

LONGEST_NAME = 200


def stages(config: DictConfig, names: tuple[str, ...]) -> float | None:
    """Run the stages ``names`` in the configured run folder, which remembers the overrides given.

    Returns:
        what sweepers optimize: the validation accuracy of the last of these stages that has one, else None.

    Raises:
        PumiceError: see `pumice.stages.run.run_stages`.
    """
    plain = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    redo, hydra = plain.pop("redo"), HydraConfig.get()
    multirun = hydra.mode == RunMode.MULTIRUN
    path = Path(str(plain.pop("run_dir")))
    if multirun:
        path /= job_folder(hydra.job.override_dirname) or str(hydra.job.num)

    def remember(folder: Path) -> None:
        sources = hydra.runtime.config_sources
        config_dir = next((source.path for source in sources if source.provider == "command-line"), None)
        save_overrides(folder, list(hydra.overrides.task), config_dir, plain)
        with atomic_path(folder / "config.yaml") as target:
            OmegaConf.save(OmegaConf.create(plain), target)

    again = [redo] if isinstance(redo, str) else redo or []
    return run_stages(plain, names, path, again, remember, others=multirun)


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
