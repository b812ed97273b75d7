"""The inputs of a model: what the host gives for each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...program import Program
from ...program.nodes import DenseInput, TokenInput, ValueInput
from ...program.nodes.inputs import GAP_FORMAT

VALUE_INPUTS: Mapping[type[ValueInput], tuple[str, Any]] = {
    TokenInput: ("token", np.int64),
    DenseInput: ("value", np.int32),
}
"""Name and element type of what an event carries, by node type; gaps have their node's name and are int64."""


def value_input(node: ValueInput) -> tuple[str, Any]:
    """The name and the element type of a value input."""
    return VALUE_INPUTS[type(node)]


def input_ranges(program: Program) -> dict[str, tuple[int, int]]:
    """The lowest and highest number that a host may give at valid events, by input: what the simulator takes."""
    ranges = {value_input(program.value_input)[0]: program.value_input.code_range}
    for node in program.gap_inputs:
        ranges[node.name] = (0, min(GAP_FORMAT.max, program.max_duration_us // node.unit_us + 1))
    return ranges
