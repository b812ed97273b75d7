"""The simulator on clocked networks: both modes against the reference, and streams of any length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.hw_sim.simulator import Simulator, opcodes, run
from pumice.hw_sim.simulator.plan.make import make_plan
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.program import Program, ProgramError, reference
from pumice.program.nodes import Neurons
from pumice.program.random.networks import CHOICES, random_network
from pumice.program.random.programs import random_sample
from pumice.program.samples import codes
from pumice.quantize.adlif.frozen import FrozenAdLIF
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs


def changed(program: Program, **fields) -> Program:
    """The program with these fields, values or functions of the node, in every layer of neurons."""

    def change(node: Neurons) -> Neurons:
        return replace(node, **{name: value(node) if callable(value) else value for name, value in fields.items()})

    return replace(program, nodes=tuple(change(node) if isinstance(node, Neurons) else node for node in program))


NEURAL = opcodes.NEURONS, opcodes.INTEGRATE
OPTIONS = [(what, value) for what, values in CHOICES.items() for value in dict.fromkeys(values)]


@pytest.mark.parametrize(("what", "value"), OPTIONS, ids=[f"{what}-{value}" for what, value in OPTIONS])
def test_both_modes_equal_the_reference(assert_equal, what, value):
    program = random_network(3 + len(what), **{what: value})
    assert_equal(program, [random_sample(program, seed, steps) for seed, steps in enumerate((0, 1, 9, 130))])


@given(seed=st.integers(0, 10**9), steps=st.lists(st.integers(0, 70), min_size=1, max_size=3))
@settings(max_examples=examples(100), deadline=None)
def test_random_networks_equal_the_reference(assert_equal, seed, steps):
    program = random_network(seed)
    assert_equal(program, [random_sample(program, seed + k, n) for k, n in enumerate(steps)])


@pytest.mark.parametrize("cell", CHOICES["cell"])
@pytest.mark.parametrize("hidden", [15, 16, 17, 70])
def test_layers_of_more_than_a_vector(assert_equal, cell, hidden):
    program = random_network(
        hidden, value="dense", cell=cell, hidden=hidden, inputs=33, classes=19, layers=2, recurrent=True
    )
    program = changed(program, threshold=np.zeros(hidden, dtype=np.int64))
    assert_equal(program, [random_sample(program, 0, 100)])
    (trace,) = run(program, [random_sample(program, 0, 100)], trace=True)
    assert all(trace.values[name].any() for name in ("cells/0", "cells/1"))


@pytest.mark.parametrize("weight_width", [12, 14, 16])
def test_wide_weights(assert_equal, weight_width):
    for cell in CHOICES["cell"]:
        program = random_network(
            weight_width, value="dense", cell=cell, weight_width=weight_width, state_width=16, recurrent=True
        )
        assert_equal(program, [random_sample(program, 3, 30)])


@pytest.mark.parametrize("weight_width", [12, 13, 14])
def test_sums_of_the_largest_weights_where_everything_spikes(assert_equal, weight_width):
    """At 13 bits, eight weights just fit int16."""
    fixed = {"weight_width": weight_width, "layers": 2, "recurrent": True, "reset": "zero", "leaky": True}
    fixed["refractory"] = 0
    program = random_network(4, value="dense", cell="lif", hidden=40, inputs=40, **fixed)
    top = (1 << (weight_width - 1)) - 1
    for sign in (-1, 1):
        square = np.full((40, 40), sign * top)
        loud = changed(
            program, recurrent=square, input=square, threshold=lambda node: np.full(40, node.potential.min - 1)
        )
        assert_equal(loud, [random_sample(loud, 0, 20)])
        (trace,) = run(loud, [random_sample(loud, 0, 20)], trace=True)
        assert trace.values["cells/1"].all()


@pytest.mark.parametrize("state_width", [8, 16, 32])
@pytest.mark.parametrize("cell", ["lif", "se"])
def test_thresholds_at_the_ends_of_the_range(assert_equal, state_width, cell):
    program = random_network(5, value="dense", state_width=state_width, cell=cell, hidden=6, layers=1, reset="zero")
    potential = program["cells/0"].potential
    for threshold in (potential.min - 1, potential.min, potential.max - 1, potential.max):
        at_edge = changed(program, threshold=np.full(6, threshold))
        assert_equal(at_edge, [random_sample(at_edge, 1, 40)])


@pytest.mark.parametrize(("cell", "scale"), [("lif", 25), ("se-adlif", 50), ("ef-adlif", 50)])
def test_lowered_networks_equal_the_reference(assert_equal, cell, scale):
    settings = {"q": 60, "tau_u": (5, 25), "tau_w": (60, 300), "tau_out": (3, 15)}
    config = AdLIFConfig(num_classes=5, in_features=4, cell=cell, layers=2, hidden=36, **settings)
    generator = torch.Generator().manual_seed(0)
    model = AdLIFNetwork(config, generator).eval()
    with torch.no_grad():
        for layer in model.cells:
            layer.input.weight.mul_(scale)
    inputs = torch.randint(-1, 2, (4, 150, 4), generator=generator).float()
    qat = prepare(model, QuantizationConfig(max_dead_zone=1.0))
    program = lower(calibrate(qat, [Inputs(inputs, None, torch.full((4,), 150))]), ["a", "b", "c", "d", "e"])
    samples = [(values.numpy(), 1000 * np.arange(150)) for values in inputs]
    assert_equal(program, samples)
    (trace,) = run(program, samples[:1], trace=True)
    rates = [trace.values[name].mean() for name in ("cells/0", "cells/1")]
    assert 0.02 < min(rates) <= max(rates) < 0.5


@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_narrow_and_wide_operations_give_the_same_bits(assert_equal, records, monkeypatch, cell):
    """Layers that need int64 sums are rare: here all are made to."""
    programs = [
        random_network(seed, value="dense", cell=cell, recurrent=True, input=kind, weight_width=width)
        for seed, (kind, width) in enumerate((("real", 4), ("ternary", 8), ("counts", 16)))
    ]

    def kinds():
        return {kind for program in programs for op, kind in records(program) if op in NEURAL}

    assert opcodes.IS_NARROW in kinds()
    monkeypatch.setattr("pumice.hw_sim.simulator.plan.neurons.I32_LIMIT", 0)
    make_plan.cache_clear()
    assert kinds() == {opcodes.IS_WIDE}
    for program in programs:
        assert_equal(program, [random_sample(program, 1, 100)])
    make_plan.cache_clear()


@given(
    cuts=st.lists(st.integers(0, 300), max_size=5),
    cell=st.sampled_from(CHOICES["cell"]),
    refractory=st.sampled_from(CHOICES["refractory"]),
)
@settings(max_examples=examples(30), deadline=None)
def test_a_stream_may_be_cut_anywhere(cuts, cell, refractory):
    """And taken up again by another simulator."""
    program = random_network(6, value="dense", cell=cell, layers=2, recurrent=True, refractory=refractory)
    values, times = random_sample(program, 0, 300)
    (whole,) = run(program, [(values, times)], trace=True)
    simulator = Simulator(program)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 300], strict=True):
        kept, simulator = simulator.snapshot(), Simulator(program)
        simulator.restore(kept)
        simulator.advance(values[start:stop], times[start:stop])
        for name, states in whole.states.items():
            expected = states[stop - 1] if stop else np.zeros_like(simulator.state(name))
            np.testing.assert_array_equal(simulator.state(name), expected)
    np.testing.assert_array_equal(simulator.read(), whole.logits)
    assert simulator.saturations == whole.saturations


def test_steps_give_the_series_and_a_reset_forgets_everything():
    program = random_network(8, value="dense", layers=2, recurrent=True)
    values, times = random_sample(program, 0, 50)
    (oracle,) = reference.run(program, [(values, times)], trace=False)
    simulator = Simulator(program)
    for _ in range(2):
        rows = [simulator.step(value, time_us) for value, time_us in zip(values, times.tolist(), strict=True)]
        assert all(valid for _, valid in rows)
        np.testing.assert_array_equal([logits for logits, _ in rows], oracle.series)
        assert simulator.saturations == oracle.saturations
        simulator.reset()
        assert not any(simulator.state(name).any() for name in ("cells/0", "cells/1"))
        assert not any(simulator.saturations.values())
    many, _ = simulator.step_many(values, times)
    np.testing.assert_array_equal(many, oracle.series)


def test_samples_are_independent_and_their_series_is_always_there():
    program = random_network(10, value="dense", layers=2)
    samples = [random_sample(program, seed, 20 + seed) for seed in range(5)]
    together = run(program, samples, threads=2)
    for sample, trace in zip(samples, together, strict=True):
        (alone,) = run(program, [sample])
        (oracle,) = reference.run(program, [sample], trace=False)
        assert trace.values == trace.states == {}
        np.testing.assert_array_equal(trace.series, alone.series)
        np.testing.assert_array_equal(trace.series, oracle.series)


def test_a_refused_step_changes_nothing():
    program = random_network(9, value="dense")
    values, times = random_sample(program, 0, 30)
    simulator = Simulator(program)
    simulator.advance(values[:20], times[:20])
    broken = values[20:].copy()
    broken[-1, 0] = np.nan
    with pytest.raises(ProgramError, match=r"event 9 .* NaN or infinity"):
        simulator.advance(broken, times[20:])
    with pytest.raises(ProgramError, match=f"an event is {values.shape[1]} values"):
        simulator.step(np.zeros(values.shape[1] + 1), int(times[20]))
    simulator.advance(values[20:], times[20:])
    (whole,) = run(program, [(values, times)])
    np.testing.assert_array_equal(simulator.read(), whole.logits)


@pytest.mark.parametrize(("cell", "seed"), [("lif", 25), ("se", 21), ("ef", 21)])
def test_a_long_run_stays_bounded_and_blocks_equal_steps(cell, seed):
    """100,000 steps of a stable network: spikes to the end, and no state ever clips."""
    steps = 100_000
    fixed = {"recurrent": True, "state_width": 24, "input": "ternary", "reset": "zero", "leaky": True, "refractory": 0}
    program = random_network(seed, value="dense", cell=cell, layers=2, hidden=9, **fixed)
    program = changed(program, threshold=lambda node: np.full(9, 1 << node.potential.frac))
    values = np.random.default_rng(0).integers(-1, 2, (steps, program.value_input.channels)).astype(np.float64)
    times = 1000 * np.arange(steps)
    blocks, single = Simulator(program), Simulator(program)
    late = np.zeros(3)
    for start in range(0, steps, 12_345):
        part = slice(start, start + 12_345)
        blocks.advance(values[part], times[part])
        late, _ = single.step_many(values[part], times[part])
        np.testing.assert_array_equal(blocks.read(), late[-1])
        for name in ("cells/0", "cells/1"):
            np.testing.assert_array_equal(blocks.state(name), single.state(name))
    assert blocks.saturations == single.saturations
    assert all(blocks.saturations[name] == 0 for name in ("cells/0", "cells/1"))
    assert len(np.unique(late, axis=0)) > 10


def test_real_inputs_beside_a_half_are_rounded_exactly(backends):
    program = random_network(0, value="dense", input="real", recurrent=True)
    size, scale = program["dense"].size, program["dense"].output.scale
    below = np.nextafter(0.5, 0)  # plus 1/2 it is 1 in float64
    rows = np.array([below, -0.5, -below, np.nextafter(1.5, 0), -1.5, np.nextafter(-0.5, -1), 1e-300, -1e-300]) * scale
    values = np.repeat(rows[:, None], size, axis=1)
    sample = values, np.arange(len(values))
    expected = np.repeat(np.array([[0, 0, 0, 1, -1, -1, 0, 0]]).T, size, axis=1)
    traces = [backend(program, [sample], True)[0].values["dense"] for backend in backends.values()]
    inputs = Inputs(torch.from_numpy(values)[None], None, torch.tensor([len(values)]))
    frozen = FrozenAdLIF(program.nodes, "mean").trace(inputs)[1]["dense"][0].numpy()
    for found in (*traces, frozen, codes(program, sample)[0]):
        np.testing.assert_array_equal(found, expected)
