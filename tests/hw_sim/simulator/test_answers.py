"""Programs whose decoder gives logits at every window: the series, the newest, and when they came."""

from __future__ import annotations

import numpy as np
import pytest
from pumice.hw_sim.simulator import Simulator
from pumice.program import reference
from pumice.program.random.programs import random_program, random_sample


@pytest.mark.parametrize("seed", range(6))
def test_random_programs(assert_equal, seed):
    program = random_program(300 + seed, readout="steps")
    assert program.series == "decoder"
    assert_equal(program, [random_sample(program, row, length) for row, length in enumerate((40, 0, 1, 7, 25))])


@pytest.mark.parametrize("pairing", ["causal", "next"])
def test_a_step_tells_the_answer_and_whether_it_is_new(pairing):
    program = random_program(7, readout="steps", stride=3, stages=2, pairing=pairing)
    every, late = 9, int(pairing == "next")
    assert program.rates["decoder"] == every
    values, times = random_sample(program, 1, 40)
    (trace,) = reference.run(program, [(values, times)])
    assert trace.series.shape == ((40 - late) // every, 3)
    simulator = Simulator(program)
    assert (simulator.read() == 0).all()
    assert simulator.incomplete
    running, valid = simulator.step_many(values, times)
    taken = np.arange(1, 41) - late
    assert valid.tolist() == [count > 0 and count % every == 0 for count in taken]
    for row, count in zip(running, taken, strict=True):
        expected = trace.series[count // every - 1] if count >= every else np.zeros(3)
        assert (row == expected).all()
    simulator.reset()
    for k, (value, time) in enumerate(zip(values, times, strict=True)):
        said, new = simulator.step(value if values.ndim == 2 else int(value), int(time))
        assert (said == running[k]).all()
        assert new == valid[k]


def test_a_held_value_limits_no_stream():
    """Nothing is summed, so a stream may go on for ever."""
    assert random_program(7, readout="steps", pool="first").max_events == 1 << 60
    assert random_program(7, readout="mean", pool="first").max_events < 1 << 60
