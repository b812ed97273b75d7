"""The verb ``check``: whether a program fits a chip."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..api.chips import check, fits_of
from ..api.program_files import load_program
from ..errors import DoesNotFit, PumiceError
from ..files import write_json
from ..hw_sim.chips import overview, print_fit
from ..program import Program
from ..terminal import Printer
from .plain import READING, read_program
from .words import Words

AS_JSON = "--json"
MEMORY = {"flash": "flash_bytes", "ram": "ram_bytes"}
UNITS = {"k": 1 << 10, "m": 1 << 20}


def run(arguments: Sequence[str]) -> None:
    """``pumice check program=FILE [hardware=NAME]``: tables of what does not fit; exit code 1 where something does not.

    Raises:
        DoesNotFit: the program breaks a limit of the chip.
        PumiceError: wrong settings or files.
    """
    words = Words(
        [item for item in arguments if item != AS_JSON], (*READING, "run_dir", "hardware", "out", *MEMORY), "check"
    )
    program, console = _program(words), Printer()
    if "hardware" not in words.given:
        if set(words.given) & {"out", *MEMORY}:
            raise PumiceError("flash, ram and out belong to one chip; name it by hardware=...")
        fits = fits_of(program)
        if AS_JSON in arguments:
            print(json.dumps({name: fit.to_dict() for name, fit in fits.items()}, indent=2))
        else:
            console.print(overview(fits))
        return
    limits = {MEMORY[key]: _bytes(key, words.text(key, "")) for key in MEMORY if key in words.given}
    fit = check(program, words.text("hardware", ""), limits=limits)
    if AS_JSON in arguments:
        print(json.dumps(fit.to_dict(), indent=2))
    else:
        print_fit(fit, console)
    if (out := words.path("out")) is not None:
        write_json(out, fit.to_dict())
    if not fit.fits:
        places = len(fit.breaches)
        what = f"{places} {'place breaks' if places == 1 else 'places break'} {len(fit.verdicts)} of its limits"
        raise DoesNotFit(f"the program does not fit {fit.profile.name}: {what}")


def _program(words: Words) -> Program:
    folder = words.path("run_dir")
    if folder is not None and not set(words.given) & {"program", "net"}:
        return load_program(folder / "program.npz")
    if folder is not None:
        raise PumiceError("run_dir names a program already; leave program or net out")
    return read_program(words)


def _bytes(key: str, value: str) -> int:
    """``512k``, ``1M`` or a number of bytes."""
    number, factor = value, 1
    if value[-1:].lower() in UNITS:
        number, factor = value[:-1], UNITS[value[-1].lower()]
    if not (number.isascii() and number.isdigit()) or int(number[:15]) < 1:
        raise PumiceError(f"{key}={value} is no size; give bytes, or 512k, or 1M")
    return int(number[:15]) * factor
