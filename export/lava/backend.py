"""Lava as a backend of the comparison."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...hw_sim.reference import Trace
from ...quantize.program import Program
from ...quantize.program.nodes import DiagonalSSM
from ..samples import Sample
from .bundle import write_bundle
from .driver import run_bundle
from .runtime.wiring import Wires, wire


def run_lava(program: Program, samples: Sequence[Sample], trace: bool, timeout_s: float = 600.0) -> list[Trace]:
    """A ``hw_sim.compare`` backend: all samples through one Lava network, about a millisecond a step.

    Traced are the edges between processes, the running logits, and every state. Saturations and clipped gaps are not
    counted.
    """
    with tempfile.TemporaryDirectory(prefix="pumice-lava-") as folder:
        records = run_bundle(write_bundle(program, samples, Path(folder) / "bundle"), timeout_s)
    parts = wire(program)
    traces = []
    for sample in range(len(samples)):
        rows = records[-1].values[sample]
        result = Trace(rows[-1], len(records[-2].values[sample]) == 0, {}, {})
        if trace:
            result.values[parts[-1].value_out] = rows[1:]
            for part, record in zip(parts[:-1], records, strict=False):
                result.values[part.value_out] = record.values[sample]
                result.states |= _by_node(part, record.states[sample])
        traces.append(result)
    return traces


def _by_node(part: Wires, states: np.ndarray) -> dict[str, np.ndarray]:
    nodes = [node for node in part.nodes if isinstance(node, DiagonalSSM)]
    if not nodes:
        return {}
    ends = np.cumsum([node.channels for node in nodes])[:-1]
    return {node.name: array for node, array in zip(nodes, np.split(states, ends, axis=1), strict=True)}
