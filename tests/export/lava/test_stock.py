"""Networks of Loihi's neurons as Lava's own Dense and LIF, against the reference: spikes, both states, logits."""

from dataclasses import replace

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.lava import run_lava, write_bundle
from pumice.export.lava.environment import LavaUnavailable, ensure_environment, find_python
from pumice.hw_sim.parity.compare import compare
from pumice.program import ProgramError, reference
from pumice.program.nodes import LoihiLIF
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample


@pytest.fixture(scope="module")
def _lava():
    try:
        find_python()
    except LavaUnavailable as error:
        pytest.skip(str(error))
    ensure_environment()


def run_reference(program, samples, trace):
    return reference.run(program, samples, trace=trace)


def assert_equal(program, samples):
    """Every spike, u and v of every layer at every step; returns the reference's traces."""
    traces = run_lava(program, samples, trace=True, timeout_s=120)
    expected = reference.run(program, samples)
    backends = {"reference": run_reference, "lava": lambda *_: traces}
    verdict = compare(program, samples, backends, traced=len(samples)).verdicts[0]
    assert verdict.differing == 0, verdict.first
    layers = sum(isinstance(node, LoihiLIF) for node in program)
    assert verdict.states == (layers, layers)
    assert verdict.nodes[0] == layers + 1
    return expected


def thorough(name, **choices):
    return pytest.param(choices, id=name, marks=pytest.mark.thorough)


@pytest.mark.usefixtures("_lava")
@pytest.mark.parametrize(
    "choices",
    [
        thorough("feed-forward", layers=2, recurrent=False, input="spikes", weight_exponent=0),
        thorough("recurrent", layers=2, recurrent=True, input="counts", weight_exponent=2, own=False),
        thorough("narrow", layers=1, recurrent=True, input="ternary", weight_bits=4, weight_exponent=-3),
        pytest.param({"layers": 2, "recurrent": True, "input": "counts", "weight_exponent": 0, "own": True}, id="own"),
    ],
)
def test_stock_processes_give_the_reference_integers(choices):
    program = random_loihi(21, value="dense", hidden=9, inputs=6, extreme=False, **choices)
    found = assert_equal(program, [random_sample(program, row, steps) for row, steps in enumerate((40, 1, 0, 25))])
    assert sum(int(trace.values["cells/0"].sum()) for trace in found) > 20


@pytest.mark.usefixtures("_lava")
def test_decays_of_each_neuron():
    """Three neurons that share all but the decay of v spike 3, 2 and 0 times in Lava."""
    program = random_loihi(0, value="dense", layers=1, hidden=3, inputs=1, recurrent=False, extreme=False, own=False)
    own = {"du": 4095, "dv": np.array([0, 1024, 4000]), "vth": 60, "bias": np.zeros(3, dtype=np.int64)}
    own |= {"weight": np.full((3, 1), 20), "weight_bits": 8, "weight_exponent": 0}
    cells = replace(program["cells/0"], **own)
    program = replace(program, nodes=tuple(cells if node.name == cells.name else node for node in program))
    (found,) = assert_equal(program, [(np.ones((12, 1)), np.arange(12))])
    assert found.values["cells/0"].sum(axis=0).tolist() == [3, 2, 0]


@pytest.mark.usefixtures("_lava")
def test_wraps_clips_and_biases_that_spike_alone():
    """The bias makes all layers spike before the data arrives, which no sample may see; u wraps and v clips."""
    program = random_loihi(
        2, value="dense", layers=2, recurrent=True, extreme=True, input="counts", weight_exponent=0, hidden=5
    )
    loud = [
        replace(node, bias=np.full(node.neurons, 4000), vth=3000, dv=0) if isinstance(node, LoihiLIF) else node
        for node in program
    ]
    program = replace(program, nodes=tuple(loud))
    counts = np.random.default_rng(0).integers(0, 256, (3, 20, program.value_input.channels)).astype(np.float64)
    found = assert_equal(program, [(rows, np.arange(20)) for rows in counts])
    assert all(trace.values["cells/0"][0].any() for trace in found)
    assert sum(trace.saturations["cells/0"] for trace in found) > 20


def test_other_neurons_beside_them_are_refused_before_the_start(tmp_path):
    loihi, other = (
        random_loihi(21, value="dense", layers=1, hidden=9, own=False),
        random_network(31, value="dense", cell="lif", layers=2),
    )
    weight = np.full((other["cells/0"].neurons, other["dense"].channels), 40, dtype=np.int16)
    first = replace(
        loihi["cells/0"],
        weight=weight,
        weight_bits=8,
        recurrent=weight[:, :0],
        format=other["dense"].output,
        bias=np.zeros(len(weight), dtype=np.int16),
    )
    mixed = replace(other, nodes=tuple(first if node.name == first.name else node for node in other))
    with pytest.raises(ProgramError, match="node cells/1: a LIF cannot lie beside LoihiLIF nodes"):
        write_bundle(mixed, [random_sample(mixed, 0, 3)], tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_they_cannot_be_fused():
    program = random_loihi(0, value="dense")
    with pytest.raises((PumiceError, ProgramError), match="cannot be fused"):
        run_lava(program, [random_sample(program, 0, 3)], trace=False, parts="fused")
