"""From samples to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...program import Program
from ...program.nodes import DenseInput
from ...program.samples import Sample, codes


def feed(program: Program, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Inputs of the sequence model for a batch of samples, padded to the longest with events that are not valid.

    The slice ``[:, k]`` of each is an input of the step model.

    Raises:
        ProgramError: a sample that the program cannot take.
    """
    encoded = [codes(program, sample, index) for index, sample in enumerate(samples)]
    lengths = np.array([len(values) for values, _ in encoded], dtype=np.int64)
    batch = (len(samples), int(lengths.max(initial=0)))
    if isinstance(program.value_input, DenseInput):
        events = np.zeros((*batch, program.value_input.size), dtype=np.int32)
        inputs = {"value": events}
    else:
        events = np.zeros((*batch, 1), dtype=np.int64)
        inputs = {"token": events[..., 0]}
    inputs["valid"] = np.arange(batch[1]) < lengths[:, None]
    inputs |= {gap.name: np.zeros(batch, dtype=np.int64) for gap in program.gap_inputs}
    for row, (values, between) in enumerate(encoded):
        events[row, : len(values)] = values
        for name, gaps in between.items():
            inputs[name][row, : len(gaps)] = gaps[:, 0]
    return inputs
