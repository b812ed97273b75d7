"""Signs that a program tells less than its figures."""

from dataclasses import replace

import numpy as np
import pytest
from pumice.hw_sim.parity.fidelity import spike_rates
from pumice.hw_sim.parity.health import health
from pumice.hw_sim.simulator import run
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample


def looked_at(program, samples, scores):
    saturations = {node.name: 0 for node in program}
    for trace in run(program, samples):
        saturations = {name: count + trace.saturations[name] for name, count in saturations.items()}
    return health(program, samples, saturations, spike_rates(program, samples, 1), scores), saturations


def silenced(program, *names):
    """The program with thresholds that no potential reaches."""
    nodes = [
        replace(node, threshold=np.full_like(node.threshold, node.potential.max)) if node.name in names else node
        for node in program
    ]
    return replace(program, nodes=tuple(nodes))


@pytest.mark.parametrize("names", [(), ("cells/1",), ("cells/0", "cells/1")])
def test_layers_that_never_spike_are_named(names):
    program = silenced(random_network(0, value="dense", cell="lif", layers=2), *names)
    samples = [random_sample(program, seed, 60) for seed in range(4)]
    found, _ = looked_at(program, samples, np.arange(8).reshape(4, 2))
    assert (found.silent, found.spiking, found.samples) == (list(names), 2, 4)
    lines = " ".join(found.lines())
    assert ("not one neuron of cells/1 spiked in 4 samples" in lines) == (names == ("cells/1",))
    assert ("no layer spiked in 4 samples" in lines) == (len(names) == 2)


def test_ties_are_counted_at_the_top_alone():
    program = random_program(2, value="token")
    samples = [random_sample(program, 1, 30)]
    scores = np.array([[1, 1, 0], [0, 2, 2], [3, 1, 1], [0, 0, 0]])
    found, _ = looked_at(program, samples, scores)
    assert (found.tied, found.decisions) == (3, 4)
    assert any(line.startswith("3 of 4 decisions share their highest score") for line in found.lines())
    assert looked_at(program, samples, scores[2:3])[0].tied == 0


def test_the_share_of_clipped_values_is_of_what_is_stored():
    program = random_program(3, extreme=True, value="token", pairing="next")
    samples = [random_sample(program, seed, events) for seed, events in enumerate((40, 1, 0, 25))]
    found, saturations = looked_at(program, samples, np.zeros((0, 3)))
    for node in program:
        rate = program.rates[node.name]
        rows = sum(max(len(times) - 1, 0) // rate for _, times in samples) if rate else len(samples)
        share = saturations[node.name] / max(rows * (node.channels + len(node.state_fracs)), 1)
        assert found.saturated.get(node.name, 0) == (pytest.approx(share, abs=1e-4) if share > 0.01 else 0)
    assert found.saturated
    assert found.lines()[-1].startswith("values that clipped: ")
    assert (found.tied, found.silent) == (0, [])
