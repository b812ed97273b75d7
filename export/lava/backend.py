"""Lava as a backend of the comparison."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...program import Program
from ...program.nodes import Node
from ...program.samples import Sample, Trace
from ...terminal import progress
from .bundle import write_bundle
from .driver import LavaFailure, run_bundle
from .runtime.parts import LAYERS, split, state_size
from .runtime.recordings import PortRecord


def run_lava(
    program: Program,
    samples: Sequence[Sample],
    trace: bool,
    timeout_s: float = 600.0,
    parts: str = LAYERS,
) -> list[Trace]:
    """A ``hw_sim.parity.compare`` backend: all samples through one Lava network, some milliseconds a step.

    ``timeout_s`` and ``parts`` are those of ``run_bundle``.

    Traced are the edges between layers, the running logits, and every state. Saturations and clipped gaps are not
    counted. The bundle lies in a temporary folder, which stays if a process fails: the error names it.
    """
    folder, kept = Path(tempfile.mkdtemp(prefix="pumice-lava-")), False
    try:
        with progress("Lava, steps") as step:
            records = run_bundle(write_bundle(program, samples, folder / "bundle"), timeout_s, parts, step.at)
    except LavaFailure:
        kept = True
        raise
    finally:
        if not kept:
            shutil.rmtree(folder)
    traces = [trace_of(program, records, sample) for sample in range(len(samples))]
    return traces if trace else [Trace(t.logits, t.incomplete, {}, {}, series=t.series) for t in traces]


def trace_of(program: Program, records: Sequence[PortRecord], sample: int) -> Trace:
    """What the processes of a run recorded of one sample."""
    rows = records[-1].values[sample]  # the first one is read before any event
    result = Trace(rows[-1], len(records[-1].states[sample]) == 0, {}, {})
    for part, record in zip(split(program), records, strict=True):
        result.values[part.value_out] = rows[1:] if part.reads_out else record.values[sample]
        for node, codes in _by_node(part.nodes, record.states[sample]):
            window = (
                program.rates[node.inputs[0]] // program.rates[part.value_in]
            )  # events of the part a step of the node
            codes = codes[window - 1 :: window]
            kept = result.states if node.state_fracs.size else result.values  # an integrator's state is its output
            kept[node.name] = codes
    if program.series is not None:
        result.series = result.values[program.series]
    return result


def _by_node(nodes: Sequence[Node], states: np.ndarray) -> Iterator[tuple[Node, np.ndarray]]:
    holding = [node for node in nodes if state_size(node)]
    ends = np.cumsum([state_size(node) for node in holding])
    return zip(holding, np.split(states, ends[:-1], axis=1), strict=True) if holding else iter(())
