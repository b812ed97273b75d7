"""The stage ``shard``: the comparison of ``simulate`` on a part of the test set, for many processes or machines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import PumiceError
from ..program import Program, digest
from ..terminal import Printer
from ..train.settings import SystemSettings, read_section
from .compared import Compared, divided, load_compared, save_compared, together
from .comparison import SimulateSettings, prepare
from .folder import RunFolder

FOLDER = "shards"
PART = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")
FILE = re.compile(r"([1-9][0-9]{0,5})-of-([1-9][0-9]{0,5})\.safetensors")


def part_of(config: Mapping[str, Any]) -> tuple[int, int]:
    """Which part, of how many: setting ``shard``, such as 2/8.

    Raises:
        PumiceError: it is missing, or no part.
    """
    told = config["shard"]
    found = PART.fullmatch(str(told))
    if found is None or int(found[1]) > int(found[2]):
        raise PumiceError(f"shard={told} has to be a part and the number of parts, such as shard=1/4 to shard=4/4")
    return int(found[1]), int(found[2])


def check(config: Mapping[str, Any]) -> None:
    """Refuse bad settings before anything is written.

    Raises:
        PumiceError: naming the setting.
    """
    part_of(config)
    read_section(SimulateSettings, config, "simulate")
    read_section(SystemSettings, config, "system")


def run(config: Mapping[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Compare the part ``shard`` of the test set, unless it has been; write ``shards/I-of-N.safetensors``.

    Raises:
        ParityError: a value differs.
    """
    part, parts = part_of(config)
    made = prepare(config, folder)
    path, about = _path(folder, part, parts), _about(made.program, config, part, parts)
    console = Printer()
    if path.is_file():
        compared = load_compared(path, about)
        console.print(f"part {part} of {parts} was compared earlier: {path}")
    else:
        compared = made.compare(divided(made.shares, part, parts))
        save_compared(path, compared, about)
    samples = {name: verdict.samples for name, verdict in compared.verdicts.items()}
    listed = ", ".join(f"{name} {count:,}" for name, count in samples.items())
    console.print(f"part {part} of {parts}: {listed} samples; differing values: {compared.differing}")
    compared.refuse_differences(path)
    if missing := _missing(folder, parts):
        console.print(f"missing yet: {', '.join(f'shard={each}/{parts}' for each in missing)}")
    else:
        console.print(f"all parts are there: 'pumice simulate run_dir={folder.path}' puts them together")
    return {"part": f"{part}/{parts}", "samples": samples, "differing": compared.differing}


def merged(config: Mapping[str, Any], folder: RunFolder, program: Program) -> Compared | None:
    """What the parts in the folder say as one; None where there are none.

    Raises:
        PumiceError: some are missing or damaged, or made of another program or with other settings.
    """
    found = [FILE.fullmatch(path.name) for path in sorted((folder.path / FOLDER).glob("*"))]
    counts = {int(match[2]) for match in found if match}
    if not counts:
        return None
    if len(counts) > 1:
        listed = " and ".join(map(str, sorted(counts)))
        raise PumiceError(f"{folder.path / FOLDER} holds parts of {listed}; remove those that are not wanted")
    parts = counts.pop()
    if missing := _missing(folder, parts):
        raise PumiceError(
            f"{folder.path / FOLDER} lacks parts: 'pumice shard run_dir={folder.path} shard={missing[0]}/{parts}' "
            f"makes one of {len(missing)}; or remove that folder to compare everything here"
        )
    every = range(1, parts + 1)
    return together([load_compared(_path(folder, i, parts), _about(program, config, i, parts)) for i in every])


def _missing(folder: RunFolder, parts: int) -> list[int]:
    return [part for part in range(1, parts + 1) if not _path(folder, part, parts).is_file()]


def _path(folder: RunFolder, part: int, parts: int) -> Path:
    return folder.path / FOLDER / f"{part}-of-{parts}.safetensors"


def _about(program: Program, config: Mapping[str, Any], part: int, parts: int) -> dict[str, Any]:
    """What a part was made of."""
    settings = {section: config[section] for section in ("task", "simulate")}
    return {"program": digest(program), "settings": settings, "part": [part, parts]}
