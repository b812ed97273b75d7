"""onnxruntime as a backend of the comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime

from ...hw_sim.reference import Trace
from ...quantize.program import Program
from ...quantize.program.nodes import INPUT_NODES, QUERY, DiagonalSSM, Readout
from ..samples import Sample
from .event import BEFORE
from .feed import feed
from .sequence import build_sequence


def open_session(model: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of the CPU provider; an event's operations are too small for more threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run_onnx(program: Program, samples: Sequence[Sample], trace: bool, batch_size: int = 32) -> list[Trace]:
    """A ``hw_sim.compare`` backend: the sequence model, traced at every edge before the read-out and every state.

    Saturations and clipped gaps are not counted.
    """
    edges = [node.name for node in program if program.rates[node.name] != QUERY and not isinstance(node, INPUT_NODES)]
    states = [node.name for node in program if isinstance(node, DiagonalSSM)]
    names = [*edges, *(BEFORE + name for name in states)] if trace else []
    session = open_session(build_sequence(program, trace=names))
    outputs = ["logits", *(f"trace/{name}" for name in names)]
    slowest = max(program.rates[node.inputs[0]] for node in program if isinstance(node, Readout))
    traces = []
    for start in range(0, len(samples), batch_size):
        inputs = feed(program, samples[start : start + batch_size])
        logits, *traced = session.run(outputs, inputs)
        for row, length in enumerate(inputs["valid"].sum(axis=1)):
            result = Trace(logits[row].astype(np.int64), bool(length < slowest), {}, {})
            for name, array in zip(names, traced, strict=True):
                node = name.removeprefix(BEFORE)
                rate = program.rates[node]
                target = result.states if name.startswith(BEFORE) else result.values
                target[node] = array[row, :length][rate - 1 :: rate].astype(np.int64)
            traces.append(result)
    return traces
