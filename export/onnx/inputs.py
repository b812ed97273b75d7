"""The inputs of a model: what the host gives for each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...program.nodes import DenseInput, TokenInput, ValueInput

VALUE_INPUTS: Mapping[type[ValueInput], tuple[str, Any]] = {
    TokenInput: ("token", np.int64),
    DenseInput: ("value", np.int32),
}
"""Name and element type of what an event carries, by node type; gaps have their node's name and are int64."""


def value_input(node: ValueInput) -> tuple[str, Any]:
    """The name and the element type of a value input."""
    return VALUE_INPUTS[type(node)]
