"""With NUMBA_DISABLE_JIT=1, as people debug, the simulator runs as plain Python, to the same integers."""

import os
import subprocess
import sys
from pathlib import Path

HELPERS = Path(__file__).parents[2] / "helpers"
SCRIPT = """
import numpy as np
from pruned import pruned
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

def check(program, seed, *lengths):
    samples = [random_sample(program, seed, events) for events in lengths]
    result = compare(program, samples, BACKENDS, traced=2)
    assert result.differing == 0, (seed, [verdict.first for verdict in result.verdicts])

for seed in range(8):
    for draw in (random_program, random_network, random_loihi):
        check(draw(seed), seed, 7, 1)
        check(draw(seed, extreme=True), seed, 9)
small = {"stages": 1, "layers": 1, "width": 3, "modes": 2}
for name in ("mean", "time", "last", "window", "forget"):
    check(random_program(3, readout=name, stride=1, pairing="causal", **small), 1, 12, 1)  # of one event no time passes
halves = random_network(1, value="dense", input="real", inputs=3)
rows = (np.arange(-15, 15).reshape(10, 3) + 0.5) * halves.value_input.output.scale
result = compare(halves, [(rows, 1000 * np.arange(10))], BACKENDS, traced=1)
assert result.differing == 0, [verdict.first for verdict in result.verdicts]
for seed, pool in enumerate(("first", "mean", "time")):
    for stride in (2, 3):
        check(random_program(seed, pool=pool, stride=stride, **small), seed, 14)
for seed, discretization in enumerate(("async", "dirac", "zoh") * 2):
    check(random_program(seed, discretization=discretization, state_width=8 + 8 * (seed % 2), **small), seed, 14)
for seed in range(6):
    cell = ("se", "ef", "lif")[seed % 3]
    check(random_network(seed, cell=cell, hidden=19, recurrent=True, extreme=seed > 2), seed, 12)
few = {"stages": 1, "layers": 1, "width": 9, "modes": 5, "weight_width": 8, "state_width": 16, "stride": 1}
check(pruned(random_program(1, **few), 0.9), 1, 11)
import pumice.hw_sim.simulator.machine
assert not hasattr(pumice.hw_sim.simulator.machine.feed, "py_func")
"""


def test_small_programs_run_as_plain_python():
    places = [str(HELPERS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
