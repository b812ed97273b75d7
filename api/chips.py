"""Whether a program fits a chip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from ..errors import PumiceError
from ..files import read_text
from ..hw_sim.chips import ChipProfile, Fit, load_chip
from ..hw_sim.chips import check as check_limits
from ..program import Program
from .presets import preset_names, settings_of
from .samples import told

GROUP = "chip"


def check(
    program: Program, hardware: str | Path | Mapping[str, Any] = "loihi2", *, limits: Mapping[str, int] | None = None
) -> Fit:
    """Hold a program against the limits of a chip: widths, fans, neurons, memory, cores, nodes that the chip lacks.

    Args:
        program: any.
        hardware: a name of configs/chip (``"loihi2"``, ``"xylo-a2"``, ...), a YAML file like those, or its values.
        limits: single limits in place of the profile's, such as ``{"flash_bytes": 512 * 1024}``.

    Returns:
        a `Fit`: ``fits``, ``breaches`` with node, limit, actual value and cure, and ``placed``, the layers on cores.

    Raises:
        PumiceError: an unknown chip, or a limit without its unit or source.
    """
    return check_limits(program, chip_profile(hardware, limits))


def chip_profile(hardware: str | Path | Mapping[str, Any], limits: Mapping[str, int] | None = None) -> ChipProfile:
    """The profile of a name, a file or values; see `check`."""
    if isinstance(hardware, Path) or (isinstance(hardware, str) and hardware.endswith((".yaml", ".yml"))):
        hardware = _read(Path(hardware))
    try:
        with told():
            return load_chip(settings_of(GROUP, hardware), limits)
    except PumiceError as error:
        raise PumiceError(f"hardware: {error}") from error


def chip_names() -> list[str]:
    """The chips that there are profiles of."""
    return preset_names(GROUP)


def fits_of(program: Program) -> dict[str, Fit]:
    """A program against every chip that there is a profile of."""
    return {name: check(program, name) for name in chip_names()}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(read_text(path))
    except FileNotFoundError:
        raise PumiceError(f"{path} does not exist; name a file like those of configs/chip") from None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise PumiceError(f"{path} cannot be read as a chip ({(str(error).splitlines() or [''])[0]})") from error
    if not isinstance(found, Mapping):
        raise PumiceError(f"{path} holds no chip; write one like those of configs/chip")
    return found
