"""What a bundle's processes do in each step against the reference, without Lava: delays between them, steps without an
event, layers whose input is not valid at most steps.
"""

import numpy as np
import pytest
from pumice.export.lava.backend import trace_of
from pumice.export.lava.runtime.head import COLUMNS, heads
from pumice.export.lava.runtime.parts import split
from pumice.export.lava.runtime.recordings import read, write
from pumice.export.lava.runtime.running import FedPart, RunningPart
from pumice.export.lava.runtime.sending import source_arrays
from pumice.export.lava.runtime.synapses import synapses
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


class Delayed:
    """A line that gives back what was put in ``steps`` steps ago; before that, a value that nothing may read."""

    def __init__(self, steps, channels, rng):
        junk = rng.integers(-99, 99, (steps, channels))
        self.waiting = [(row, np.zeros(COLUMNS, dtype=np.int64)) for row in junk]

    def __call__(self, value, head):
        self.waiting.append((value, head))
        return self.waiting.pop(0)


class Dense:
    """Sends at each step the product of what it received at the step before, as Lava's Dense does."""

    def __init__(self, matrix):
        self.matrix, self.sum = matrix, np.zeros(len(matrix), dtype=np.int64)

    def __call__(self, spikes):
        before, self.sum = self.sum, self.matrix @ spikes
        return before


def rows_of(program, samples, rng):
    """Values and heads of the source, with steps without an event strewn in, whose values mean nothing."""
    arrays = source_arrays(program, samples)
    steps = len(arrays["values"])
    where = np.sort(np.append(rng.permutation(np.arange(1, 2 * steps))[: steps - 1], 0))
    values = rng.integers(0, 3, (2 * steps, arrays["values"].shape[1]))
    spread = rng.integers(0, 1000, (2 * steps, COLUMNS))
    spread[:, 0] = 0
    values[where], spread[where] = arrays["values"], heads(arrays)
    return values, spread


def run_parts(program, samples, rng, folder, most=3):
    """Layers with a line of up to ``most`` steps before each; a read-out's heads at the full rate wait as long."""
    parts = split(program)
    delays = rng.integers(0, most + 1, len(parts))
    running = [RunningPart(part) for part in parts]
    lines = [Delayed(delay, part.channels_in, rng) for delay, part in zip(delays, parts, strict=True)]
    values, rows = rows_of(program, samples, rng)
    full_rate = Delayed(delays.sum(), 1, rng)
    recorded = [[] for _ in parts]
    for step in range(len(rows) + delays.sum()):
        idle = np.zeros(values.shape[1], dtype=np.int64), np.zeros(COLUMNS, dtype=np.int64)
        value, head = (values[step], rows[step]) if step < len(rows) else idle
        _, total = full_rate(np.zeros(1), head)
        for each, line, kept in zip(running, lines, recorded, strict=True):
            value, head = each.step(*line(value, head), total if each.part.reads_out else None)
            kept.append(each.row(value, head))
    return traces_of(program, samples, recorded, rows, folder)


def run_fed(program, samples, rng, folder):
    """Layers fed by a Dense each, and a Dense back where they are recurrent."""
    parts = split(program)
    running = [FedPart(part) for part in parts]
    matrices = [products_of(part) for part in parts]
    ahead = [Dense(found["W"]) for found in matrices]
    channels = [part.nodes[0].channels for part in parts]
    back = [
        found.get("V", np.zeros((size, size), dtype=np.int64)) for found, size in zip(matrices, channels, strict=True)
    ]
    values, rows = rows_of(program, samples, rng)
    recorded, sent = [[] for _ in parts], [np.zeros(size, dtype=np.int64) for size in channels]
    for step in range(len(rows) + len(parts)):
        last = step >= len(rows)
        value = np.zeros_like(values[0]) if last else values[step]
        head = np.zeros_like(rows[0]) if last else rows[step]
        for layer, each in enumerate(running):
            value, head = each.step_fed(ahead[layer](value), back[layer] @ sent[layer], head)
            sent[layer] = value
            recorded[layer].append(each.row(value, head))
    return traces_of(program, samples, recorded, rows, folder)


def products_of(part):
    """W, and V where there is one."""
    found = {}
    for dense in synapses(part):
        assert np.abs(dense.codes).max() <= 127
        what = "V" if dense.recurrent else "W"
        found[what] = found.get(what, 0) + (dense.codes << dense.exponent)
    return found


def traces_of(program, samples, recorded, rows, folder):
    for part, kept in zip(split(program), recorded, strict=True):
        write(folder, [part], np.stack(kept))
    records = read(folder, split(program), rows[:, 0])
    return [trace_of(program, records, sample) for sample in range(len(samples))]


def check(program, samples, traces):
    backends = {"reference": lambda p, s, trace: reference.run(p, s, trace=trace), "lava": lambda *_: traces}
    verdict = compare(program, samples, backends, traced=len(samples)).verdicts[0]
    assert verdict.differing == 0, verdict.first
    assert verdict.states[0] == verdict.states[1]
    return verdict


def samples_of(program, seed):
    shortest = 1 if program.pairing == "next" else 0
    return [random_sample(program, seed + row, events) for row, events in enumerate((19, shortest, 1, 8))]


@pytest.mark.parametrize("seed", range(20))
def test_layers_of_a_strided_network_some_steps_behind_one_another(seed, tmp_path):
    sampled = ("last", "mean", "time")[seed // 3 % 3]
    pooled = {"real": True, "sampled": sampled, "normed": False} if seed % 3 == 2 else {}
    ends = {"readout": "steps"} if seed % 5 == 1 else {}
    program = random_program(500 + seed, stages=2, layers=2, stride=2 + seed % 2, **pooled, **ends)
    samples = samples_of(program, seed)
    check(program, samples, run_parts(program, samples, np.random.default_rng(seed), tmp_path))


@pytest.mark.parametrize("seed", range(30))
def test_layers_of_neurons_some_steps_behind_one_another(seed, tmp_path):
    program = random_network(500 + seed)
    samples = samples_of(program, seed)
    verdict = check(program, samples, run_parts(program, samples, np.random.default_rng(seed), tmp_path))
    assert verdict.nodes[0] == len(program.nodes) - 1  # all but the input


@pytest.mark.parametrize("seed", range(30))
def test_neurons_fed_by_processes_that_multiply(seed, tmp_path):
    program = random_network(700 + seed, value="dense", weight_width=(2, 8, 12)[seed % 3])
    samples = samples_of(program, seed)
    check(program, samples, run_fed(program, samples, np.random.default_rng(seed), tmp_path))
