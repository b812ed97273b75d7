"""What a program says of its input, for a host that knows nothing of Pumice (``encode.py``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files import copy_file
from ..program import Program
from ..program.nodes.inputs import GAP_FORMAT

TASK = (
    *("name", "kind", "sensor", "token", "downsample", "max_ms", "max_events"),
    *("channels", "group", "bin_ms", "fewest_bins", "most_bins"),
)
"""Settings of a task that say how events become what a model reads."""


ENCODER = "encode.py"


def copy_encoder(folder: Path) -> None:
    """Write ``encode.py``, which turns recordings into what `about_input` tells of, into a folder.

    Raises:
        PumiceError: the folder cannot be written to.
    """
    copy_file(Path(__file__).with_name(ENCODER), folder / ENCODER)


def about_input(program: Program) -> dict[str, str]:
    """Class names, the units of the gaps in microseconds, ranges, formats and the task's encoding, as texts by name."""
    about = {
        "class_names": json.dumps(list(program.class_names)),
        "gap_units_us": json.dumps({node.name: node.unit_us for node in program.gap_inputs}),
        "pairing": program.pairing,
        "input_ranges": json.dumps(input_ranges(program)),
    }
    if task := _task(program):
        about["task"] = json.dumps(task)
    if program.step_us is not None:
        about["step_us"] = str(program.step_us)
    if program.value_input.event_shape:
        format = program.value_input.output
        about["value_format"] = json.dumps({"width": format.width, "signed": format.signed, "frac": format.frac})
    return about


def input_ranges(program: Program) -> dict[str, tuple[int, int]]:
    """The lowest and highest number that a host may give at valid events, by input: what the simulator takes."""
    ranges = {"value" if program.value_input.event_shape else "token": program.value_input.code_range}
    for node in program.gap_inputs:
        ranges[node.name] = (0, min(GAP_FORMAT.max, program.max_duration_us // node.unit_us + 1))
    return ranges


def _task(program: Program) -> dict[str, Any]:
    """Those of `TASK` that the program tells of its making."""
    config = program.provenance.get("config")
    task = config.get("task") if isinstance(config, Mapping) else None
    return {key: task[key] for key in TASK if key in task} if isinstance(task, Mapping) else {}
