"""Comparing backends finds what differs, and names the earliest of it."""

from __future__ import annotations

import numpy as np
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run
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
