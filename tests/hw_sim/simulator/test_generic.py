"""The machine compiled for a CPU of which nothing is known but that it is one: the same integers."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import numpy as np
from pumice.hw_sim.simulator import Simulator, run
from pumice.hw_sim.simulator.kernels.tiles import COLUMNS, WIDTH
from pumice.hw_sim.simulator.vectors.registers import REGISTER_BITS
from pumice.program import reference
from pumice.program.random.programs import random_program, random_sample

assert (REGISTER_BITS, WIDTH, COLUMNS) == (128, 4, 3), (REGISTER_BITS, WIDTH, COLUMNS)
widths = {"state_width": 16, "weight_width": 8, "activation_width": 8}
narrow = random_program(1, value="token", norm="layer", extreme=True, stride=1, stages=1, layers=1, **widths)
values, times = random_sample(narrow, 0, 300)
(expected,), (trace,) = reference.run(narrow, [(values, times)]), run(narrow, [(values, times)], trace=True)
for name, rows in trace.values.items():
    np.testing.assert_array_equal(rows, expected.values[name], err_msg=name)
for name, rows in trace.states.items():
    np.testing.assert_array_equal(rows, expected.states[name], err_msg=name)
np.testing.assert_array_equal(trace.logits, expected.logits)
assert trace.saturations == expected.saturations
assert sum(trace.saturations.values()) > 0
logits, _ = Simulator(narrow).step_many(values, times)
np.testing.assert_array_equal(logits[-1], expected.logits)
"""


@pytest.mark.thorough
def test_a_generic_cpu_gives_the_same_bits():
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
