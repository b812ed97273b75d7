"""The known answer inside a model: inputs, and what the program's reference makes of them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...program import Program, reference
from ...program.nodes import TRACED
from ...program.samples import Sample, Trace
from .event import AFTER, BEFORE
from .feed import feed
from .graph import Graph

FEWEST, MOST = 40, 2_000
"""Events of a known answer; between them, as many as complete two windows of the slowest read-out."""


def known_answer(program: Program, graph: Graph, layout: Mapping[str, tuple[str, int, int]]) -> str:
    """Inputs from the state zero and the right outputs, for a step or a sequence model (``check.py`` reads them).

    JSON, compressed and in base64 between colons: ``inputs``, with an axis of calls before the model's own; ``states``
    before the first call; outputs of ``each`` call and of the ``last``, some with the ``columns`` that are known. One
    event in the middle is not valid. ``layout`` says where the states lie.
    """
    sample, trace = _choose(program)
    inputs = feed(program, [sample])
    gap = len(trace.values[program.logits]) // 2  # the event after this one is not valid
    inputs = {name: np.insert(array, gap, array[:, gap - 1], axis=1) for name, array in inputs.items()}
    inputs["valid"][:, gap] = False
    states = {
        info.name: {
            "dtype": graph.dtypes[info.name].name,
            "shape": [1, *(axis.dim_value for axis in info.type.tensor_type.shape.dim[1:])],
            "values": 0,
        }
        for info in graph.inputs
        if info.name.startswith(BEFORE)
    }
    logits, last = trace.values[program.logits], {}
    if states:  # of a step model
        each = np.insert(logits, gap, logits[gap - 1], axis=0)[:, None]
        calls = {name: array.swapaxes(0, 1) for name, array in inputs.items()}
        known = _states(program, trace)
        last = _columns({name: known[name] for name in layout if name in known}, layout)
    else:
        each, calls = logits[-1][None, None], {name: array[None] for name, array in inputs.items()}
        if trace.series is not None:
            series = logits if program[program.logits].latches else trace.series
            last = {"series": _kept(np.insert(series, gap, series[gap - 1], axis=0)[None])}
    answer = {
        "inputs": {name: _kept(array) for name, array in calls.items()},
        "states": states,
        "each": {"logits": _kept(each)},
        "last": last,
    }
    text = json.dumps(answer, separators=(",", ":"))
    return f":{base64.b64encode(zlib.compress(text.encode(), 9)).decode()}:"


def _kept(array: np.ndarray) -> Mapping[str, Any]:
    return {"dtype": array.dtype.name, "shape": array.shape, "values": array.astype(np.int64).ravel().tolist()}


def _states(program: Program, trace: Trace) -> dict[str, np.ndarray]:
    """The states after the last event that the reference traces."""
    found = {}
    for node in program:
        parts = [state for state in node.states() if state.seen == TRACED]
        if parts:
            ends = np.cumsum([state.size for state in parts])[:-1]
            for state, codes in zip(parts, np.split(trace.states[node.name][-1:], ends, axis=1), strict=True):
                found[f"{node.name}/{state.name}" if state.name else node.name] = codes
    return found


def _columns(
    known: Mapping[str, np.ndarray], layout: Mapping[str, tuple[str, int, int]]
) -> dict[str, Mapping[str, Any]]:
    """Known states by output, with the columns in which they lie."""
    found: dict[str, Mapping[str, Any]] = {}
    for pack in dict.fromkeys(layout[name][0] for name in known):
        names = [name for name in known if layout[name][0] == pack]
        columns = [layout[name][1] + column for name in names for column in range(layout[name][2])]
        found[AFTER + pack] = {**_kept(np.concatenate([known[name] for name in names], axis=1)), "columns": columns}
    return found


def _choose(program: Program) -> tuple[Sample, Trace]:
    """Of a few random samples, that with the most different logits."""
    slowest = max(program.rates[node.inputs[0]] for node in program.read_outs)
    events = min(max(FEWEST, 2 * slowest + 8), max(MOST, slowest + 8))
    samples = [_draw(program, seed, events) for seed in range(4)]
    traces = reference.run(program, samples)
    different = [len(np.unique(trace.values[program.logits], axis=0)) for trace in traces]
    best = int(np.argmax(different))
    return samples[best], traces[best]


def _draw(program: Program, seed: int, events: int) -> Sample:
    """Tokens, or codes of all magnitudes with zeros between them; gaps of 0 ticks up to more than decays hold."""
    rng = np.random.default_rng(seed)
    ticks = np.where(rng.random(events) < 0.95, rng.integers(0, 4, events), 1 << rng.integers(2, 18, events))
    longest = max((node.unit_us for node in program.gap_inputs), default=0)
    times = np.cumsum(ticks * longest + rng.integers(0, longest // 2 + 1, events))
    if program.clocked:
        times = np.arange(events) * (program.step_us or 1)
    source = program.value_input
    if not source.event_shape:
        return rng.integers(0, source.code_range[1] + 1, events), times
    form = source.output
    shape = (events, *source.event_shape)
    codes = np.floor(2.0 ** rng.uniform(0, form.width, shape)) * rng.choice([-1, 1], shape)
    codes = np.clip(codes, form.min, form.max) * (rng.random(shape) < rng.choice([0.1, 0.5]))
    return codes * form.scale, times
