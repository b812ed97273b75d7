"""From samples to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...program import Program
from ...program.samples import Sample, codes
from .inputs import value_input


def feed(program: Program, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Inputs of the sequence model for a batch of samples, padded to the longest with events that are not valid.

    The slice ``[:, k]`` of each is an input of the step model.

    Raises:
        ProgramError: a sample that the program cannot take.
    """
    encoded = [codes(program, sample, index) for index, sample in enumerate(samples)]
    lengths = np.array([len(values) for values, _ in encoded], dtype=np.int64)
    batch = (len(samples), int(lengths.max(initial=0)))
    source = program.value_input
    name, dtype = value_input(source)
    inputs = {name: np.zeros((*batch, *source.event_shape), dtype=dtype)}
    inputs["valid"] = np.arange(batch[1]) < lengths[:, None]
    inputs |= {gap.name: np.zeros(batch, dtype=np.int64) for gap in program.gap_inputs}
    for row, (values, between) in enumerate(encoded):
        inputs[name][row, : len(values)] = values.reshape(len(values), *source.event_shape)
        for gap, ticks in between.items():
            inputs[gap][row, : len(ticks)] = ticks[:, 0]
    return inputs
