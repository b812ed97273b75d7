"""With NUMBA_DISABLE_JIT=1, as people debug, the simulator runs as plain Python, to the same integers."""

import os
import subprocess
import sys

SCRIPT = """
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run, run_stepwise
from pumice.program import reference
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample

BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "run": lambda program, samples, trace: run(program, samples, trace=trace, threads=1),
    "step": lambda program, samples, trace: run_stepwise(program, samples, trace=trace, threads=1),
}
for seed in range(8):
    for draw in (random_program, random_network, random_loihi):
        program = draw(seed)
        samples = [random_sample(program, seed, events) for events in (7, 1)]
        result = compare(program, samples, BACKENDS, traced=2)
        assert result.differing == 0, (draw, seed, [verdict.first for verdict in result.verdicts])
import pumice.hw_sim.simulator.machine
assert not hasattr(pumice.hw_sim.simulator.machine.feed, "py_func")
"""


def test_small_programs_run_as_plain_python():
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
