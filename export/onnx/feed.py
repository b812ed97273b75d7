"""From samples to the inputs of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...quantize.program import Program
from ...quantize.program.clock import gaps
from ...quantize.program.nodes import DenseInput

Sample = tuple[np.ndarray, np.ndarray]
"""Tokens (L,) or dense values (L, d), and times (L,) in integer microseconds, not decreasing."""


def feed(program: Program, samples: Sequence[Sample], length: int | None = None) -> dict[str, np.ndarray]:
    """Inputs of the sequence model for a batch of samples, padded to the longest (or ``length``) events.

    Step k of a stream is the slice ``[:, k]`` of each. Dense values are quantized here, as the program states it:
    ``q = sat(floor(x 2**frac + 1/2))``.

    Raises:
        ProgramError: times that go backwards.
    """
    source = program.value_input
    drop = 1 if program.pairing == "next" else 0
    sizes = [max(len(times) - drop, 0) for _, times in samples]
    longest = max(sizes, default=0) if length is None else length
    name, dtype, rest = (
        ("value", np.int32, (source.size,)) if isinstance(source, DenseInput) else ("token", np.int64, ())
    )
    inputs = {name: np.zeros((len(samples), longest, *rest), dtype=dtype)}
    inputs["valid"] = np.arange(longest) < np.array(sizes, dtype=np.int64)[:, None]
    for gap in program.gap_inputs:
        inputs[gap.name] = np.zeros((len(samples), longest), dtype=np.int64)
    for row, ((values, times), size) in enumerate(zip(samples, sizes, strict=True)):
        inputs[name][row, :size] = dense_codes(source, values[:size]) if name == "value" else values[:size]
        for gap in program.gap_inputs:
            inputs[gap.name][row, :size] = gaps(times, gap.unit_us, program.pairing)
    return inputs


def dense_codes(source: DenseInput, values: np.ndarray) -> np.ndarray:
    """Real values as codes of the program's dense input."""
    format = source.output
    scaled = np.floor(np.asarray(values, dtype=np.float64) * 2.0**format.frac + 0.5)
    return np.clip(scaled, format.min, format.max).astype(np.int32)
