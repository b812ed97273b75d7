"""Comparing backends finds what differs, and names the earliest of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run, run_stepwise
from pumice.program import Format, Program, reference
from pumice.program.nodes import DenseInput, Linear, Readout
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


def test_compare_finds_a_wrong_value_and_says_where(backends):
    program = random_program(8, value="token", stages=1, stride=2, pairing="causal")
    samples = [random_sample(program, seed, 20) for seed in range(3)]
    node = "stages/0/layers/0/y"

    def broken(program, samples, trace):
        traces = run(program, samples, trace=trace)
        if trace:
            traces[1].values[node][4, 0] += 3
            traces[1].values[program["decoder"].inputs[0]] = np.zeros((0, 0), dtype=np.int64)
        traces[2 if not trace else 0].logits[1] -= 7
        return traces

    result = compare(program, samples, {"reference": backends["reference"], "broken": broken}, traced=2)
    verdict = result.verdicts[0]
    assert result.differing == verdict.differing > 2
    assert (verdict.first.sample, verdict.first.node, verdict.first.event) == (1, "readout", -1)
    clean = compare(program, samples, backends, traced=2)
    assert clean.differing == 0
    assert clean.as_data()["differing"] == 0
    assert clean.table().row_count == 3


def test_compare_without_traces_sees_wrong_logits(backends):
    program = random_program(8, value="token")
    samples = [random_sample(program, seed, 20) for seed in range(3)]

    def broken(program, samples, trace):
        traces = run(program, samples, trace=trace)
        if not trace:
            traces[-1].logits[2] += 1
        return traces

    result = compare(program, samples, {"reference": backends["reference"], "broken": broken}, traced=0)
    first = result.verdicts[0].first
    assert result.differing == 1
    assert (first.sample, first.node, first.channel, first.found - first.expected) == (2, "decoder", 2, 1)


PARTS = {
    "logits": lambda trace, node: trace.logits,
    "series": lambda trace, node: trace.series,
    "values": lambda trace, node: trace.values[node],
    "states": lambda trace, node: trace.states[node],
    "saturations": lambda trace, node: trace.saturations,
    "clipped_gaps": lambda trace, node: trace.clipped_gaps,
}


@pytest.mark.parametrize("what", [*PARTS, "incomplete"])
def test_whatever_a_backend_offers_is_compared(what):
    """One unit in one entry, of logits, series, edges, states, counters or the flag, is one difference."""
    if what == "series":
        program, node = random_network(3, value="dense", inputs=4), "readout"
    else:
        program, node = random_program(8, value="token", stages=1, stride=2, pairing="causal"), "stages/0/layers/0/ssm"
    samples = [random_sample(program, seed, 20) for seed in range(3)]
    traces = [reference.run(program, samples, trace=True) for _ in range(2)]
    changed = copy.deepcopy(traces[0][1])
    if what == "incomplete":
        changed = replace(changed, incomplete=not changed.incomplete)
    else:
        part = PARTS[what](changed, node)
        part[node if isinstance(part, dict) else (-1,) * part.ndim] += 1
    wrong = [traces[0][0], changed, traces[0][2]]
    plain = what in ("saturations", "clipped_gaps", "incomplete", "logits", "series")
    backends = {
        "right": lambda program, samples, trace: traces[1][: len(samples)],
        "wrong": lambda program, samples, trace: (traces[0] if trace == plain else wrong)[: len(samples)],
    }
    result = compare(program, samples, backends, traced=2)
    (verdict,) = result.verdicts
    assert result.differing == verdict.differing == 1
    assert verdict.first.sample == 1
    assert verdict.first.what == {"values": "output", "states": "state", "incomplete": "incomplete flag"}.get(
        what, what
    )
    assert verdict.first.node == (program.logits if what in ("logits", "incomplete") else node)
    assert abs(verdict.first.found - verdict.first.expected) == 1
    assert verdict.nodes[0] == verdict.nodes[1] == len(program.nodes)


def test_a_missing_row_and_an_empty_edge_are_differences():
    program = random_program(8, value="token", stages=1, stride=2, pairing="causal")
    samples = [random_sample(program, 0, 20)]
    right, short = (reference.run(program, samples, trace=True) for _ in range(2))
    node = "stages/0/layers/0/y"
    short[0].values[node] = short[0].values[node][:-1]
    backends = {"right": lambda *_: right, "short": lambda *_: short}
    verdict = compare(program, samples, backends, traced=1).verdicts[0]
    assert verdict.differing == right[0].values[node].size
    assert (verdict.first.what, verdict.first.event) == ("output shape", -1)


@pytest.mark.parametrize("draw", [random_program, random_network, random_loihi])
def test_every_backend_that_counts_gives_the_same_counts(backends, draw):
    """Of every node, without the comparison: reference, blocks of events, single events."""
    clipped = late = 0
    for seed in range(12):
        program = draw(seed, extreme=True)
        samples = [random_sample(program, 10 * seed + row, events) for row, events in enumerate((1, 40, 90))]
        expected, *others = (backend(program, samples, False) for backend in backends.values())
        for found in others:
            for mine, right in zip(found, expected, strict=True):
                assert mine.saturations == right.saturations
                assert set(mine.saturations) == {node.name for node in program}
                assert mine.clipped_gaps == right.clipped_gaps
        clipped += sum(sum(trace.saturations.values()) for trace in expected)
        late += sum(sum(trace.clipped_gaps.values()) for trace in expected)
    assert clipped > 0
    assert (late > 0) == (draw is random_program)


def test_saturations_counted_by_hand():
    """A sum of two bytes that is stored in one: what leaves -128 to 127 is counted, element by element."""
    byte = Format(8, True, 0)
    fields = {"formats": (byte,), "weights": (np.array([[2, 0], [0, 1]]),), "weight_widths": (8,)}
    nodes = (
        DenseInput(name="x", inputs=(), output=byte, size=2),
        Linear(name="y", inputs=("x",), output=byte, weight_fracs=(np.zeros(2, int),), bias=np.zeros(2, int), **fields),
        Readout(
            name="logits", inputs=("y",), output=byte, format=byte, size=2, mode="last",
            extra_bits=0, window=0, decay_shift=0,
        ),
    )  # fmt: skip
    program = Program(nodes=nodes, logits="logits", pairing="causal", class_names=("a", "b"))
    rows = np.array([[63, 127], [64, 128], [-64, -128], [-65, -129], [300, 0]], dtype=np.float64)
    sample = rows, np.arange(5)
    for backend in (reference.run, run, run_stepwise):
        (trace,) = backend(program, [sample])
        # of y: 128, -130 and, of the input clipped to 127, 254; of the input: 128, -129 and 300
        assert trace.saturations == {"x": 3, "y": 3, "logits": 0}


def test_the_table_of_a_comparison_says_what_was_compared(backends):
    program = random_program(8, value="token", stages=1, stride=2, pairing="causal")
    samples = [random_sample(program, seed, 20) for seed in range(3)]

    def late(program, samples, trace):
        traces = run_stepwise(program, samples, trace=trace)
        traces[2 if not trace else 0].logits[1] += 0 if trace else 5
        return traces

    result = compare(program, samples, {"reference": backends["reference"], "late": late}, traced=2)
    table = result.table()
    cells = list(zip(*(list(column.cells) for column in table.columns), strict=True))
    expected = reference.run(program, samples)
    clipped = sum(sum(trace.saturations.values()) for trace in expected)
    gaps = sum(sum(trace.clipped_gaps.values()) for trace in expected)
    nodes = f"{len(program.nodes)}/{len(program.nodes)} of 2 samples"
    values = sum(array.size for trace in expected[:2] for array in (*trace.values.values(), *trace.states.values()))
    values += sum(3 + len(trace.saturations) + len(trace.clipped_gaps) + 1 for trace in expected)
    assert cells[0][:6] == ("reference", "oracle", "", nodes, f"{clipped:,}", f"{gaps:,}")
    assert cells[1][:6] == ("late", f"{values:,}", "1", nodes, f"{clipped:,}", f"{gaps:,}")
    assert table.caption.startswith("late: first difference in sample 2, logits of decoder, channel 1: ")


def test_every_value_that_differs_is_counted():
    program = random_program(8, value="token", stages=1, stride=2, pairing="causal")
    samples = [random_sample(program, seed, 20) for seed in range(2)]
    right, wrong = (reference.run(program, samples, trace=True) for _ in range(2))
    wrong[1].values["stages/0/layers/0/y"][3:5, :2] += 1
    wrong[0].logits[:] *= -1
    changed = int((wrong[0].logits != right[0].logits).sum())
    assert changed > 1
    backends = {"right": lambda *_: right, "wrong": lambda *_: wrong}
    assert compare(program, samples, backends, traced=2).differing == 4 + changed
