"""Lava as a backend of the comparison."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...hw_sim.reference import Trace
from ...quantize.program import Program
from ...quantize.program.nodes import Node
from ..samples import Sample
from .bundle import write_bundle
from .driver import PortRecord, run_bundle
from .runtime.wiring import wire


def run_lava(
    program: Program,
    samples: Sequence[Sample],
    trace: bool,
    timeout_s: float = 600.0,
    fused: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """A ``hw_sim.compare`` backend: all samples through one Lava network, some milliseconds a step.

    ``timeout_s``, ``fused`` and ``progress`` are those of ``run_bundle``.

    Traced are the edges between processes (none of a fused network), the running logits, and every state. Saturations
    and clipped gaps are not counted.
    """
    with tempfile.TemporaryDirectory(prefix="pumice-lava-") as folder:
        records = run_bundle(write_bundle(program, samples, Path(folder) / "bundle"), timeout_s, fused, progress)
    build = _fused_trace if fused else _layered_trace
    traces = []
    for sample in range(len(samples)):
        result = build(program, records, sample)
        traces.append(result if trace else Trace(result.logits, result.incomplete, {}, {}))
    return traces


def _layered_trace(program: Program, records: Sequence[PortRecord], sample: int) -> Trace:
    rows = records[-1].values[sample]
    result = Trace(rows[-1], len(records[-2].values[sample]) == 0, {}, {})
    parts = wire(program)
    result.values[parts[-1].value_out] = rows[1:]
    for part, record in zip(parts[:-1], records, strict=False):
        result.values[part.value_out] = record.values[sample]
        result.states |= _by_node(part.nodes, record.states[sample])
    return result


def _fused_trace(program: Program, records: Sequence[PortRecord], sample: int) -> Trace:
    rows, states = records[0].values[sample], records[0].states[sample]
    rates = program.rates
    result = Trace(rows[-1], len(states) < rates[wire(program)[-1].value_in], {}, {})
    result.values[program.logits] = rows[1:]
    for name, codes in _by_node(tuple(program), states).items():
        result.states[name] = codes[rates[name] - 1 :: rates[name]]  # in between it is as it was
    return result


def _by_node(nodes: Sequence[Node], states: np.ndarray) -> Mapping[str, np.ndarray]:
    stateful = [node for node in nodes if node.state_fracs.size]
    if not stateful:
        return {}
    ends = np.cumsum([node.state_fracs.size for node in stateful])[:-1]
    return {node.name: array for node, array in zip(stateful, np.split(states, ends, axis=1), strict=True)}
