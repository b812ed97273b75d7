"""The machine compiled for CPUs that have less than this one: the same integers."""

import os
import subprocess
import sys

import pytest
from llvmlite import binding

SCRIPT = """
import numpy as np
from pumice.hw_sim.simulator import Simulator, run
from pumice.hw_sim.simulator.kernels.tiles import WIDTH
from pumice.hw_sim.simulator.vectors.registers import MULTIPLIES_BYTES, PERMUTES_BYTES, REGISTER_BITS
from pumice.program import reference
from pumice.program.random.programs import random_program, random_sample

assert (REGISTER_BITS, MULTIPLIES_BYTES, PERMUTES_BYTES) == (@, False, False)
assert WIDTH == @ // 32
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


HOST = binding.get_host_cpu_features()
"""What this CPU has, by name."""


def features_without(*names):
    """This CPU's features but for some."""
    return ",".join(("+" if there and name not in names else "-") + name for name, there in HOST.items())


def check(bits, **settings):
    environment = {**os.environ, **settings}
    script = SCRIPT.replace("@", str(bits))
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough
def test_a_generic_cpu_gives_the_same_bits():
    check(128, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="")


@pytest.mark.thorough
@pytest.mark.skipif(not HOST.get("avx2"), reason="this CPU has no AVX2")
def test_registers_of_256_bits_give_the_same_bits():
    check(256, NUMBA_CPU_NAME="haswell", NUMBA_CPU_FEATURES="+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+popcnt,+sse4.2")


@pytest.mark.thorough
@pytest.mark.skipif(not (HOST.get("avx512bw") and HOST.get("avx512vl")), reason="this CPU has no AVX-512")
def test_registers_of_512_bits_without_products_of_bytes_give_the_same_bits():
    check(512, NUMBA_CPU_FEATURES=features_without("avx512vnni", "avx512vbmi"))
