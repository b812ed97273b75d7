"""Spiking S5 from float to integers: the frozen model, the reference and the simulator agree on every value."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from pumice.api.frozen import run_frozen
from pumice.hw_sim import simulator
from pumice.hw_sim.parity.compare import compare
from pumice.program import reference
from pumice.program.nodes import DiagonalSSM, DrivenLIF
from pumice.program.random.programs import random_sample
from pumice.program.random.spiking import random_spiking_events
from pumice.quantize.families import FAMILIES, lower
from pumice.quantize.s5.fold import exact_layer, fold_layer
from pumice.quantize.spikings5.model import FrozenSpikingS5
from pumice.quantize.spikings5.report import zones

FAMILY = FAMILIES["spikings5"]
KINDS = {
    "plain": {},
    "batch-time": {"norm": "batch", "pooling": "timepool", "head": "timepool"},
    "zoh-first": {"discretization": "zoh", "pooling": "last", "head": "last", "tau": 0.2},
    "rectangular": {"expansion": 2, "conj_sym": False, "threshold": "shared"},
    "no-stride": {"stride": 1, "stages": 1, "tau": 0.0},
    "dense": {"vocab": None, "in_features": 6, "stride": 3, "pooling": "avgpool", "discretization": "dirac"},
}


def require_same(frozen, program, samples, stepwise=True):
    backends = {
        "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
        "twin": lambda program, samples, trace: run_frozen(frozen, program, samples, trace),
        "run": lambda program, samples, trace: simulator.run(program, samples, trace=trace),
        "step": lambda program, samples, trace: simulator.run_stepwise(program, samples, trace=trace),
    }
    found = compare(program, samples, backends, traced=len(samples))
    assert len(found.verdicts) == 3
    for verdict in found.verdicts:
        assert verdict.differing == 0, verdict.first
        assert verdict.states[0] == verdict.states[1] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_executor_agrees(build, kind):
    made = build({"spiking": True, **KINDS[kind]})
    program = lower(made.qat, list("abcde"))
    require_same(made.qat.freeze(), program, made.samples)
    expected = np.stack([trace.logits for trace in reference.run(program, made.samples)])
    logits = made.qat.freeze()(*made.batch).numpy()
    np.testing.assert_array_equal(logits, expected * program["decoder"].output.scale)
    spikes = np.concatenate([t.values[n.name].ravel() for t in reference.run(program, made.samples)[:1] for n in
                             program.of_type(DrivenLIF)])  # fmt: skip
    assert 0.01 < spikes.mean() < 0.9


@pytest.mark.parametrize(
    "widths",
    [
        {"gate": 4, "skip": 4, "activation": 6, "residual": 12, "decay": 8, "read": 8},
        {"state": 20, "read": 12, "potential": 24},
        {"potential": 8},
    ],
)
def test_the_same_at_other_widths(build, widths):
    made = build({"spiking": True, "expansion": 2}, widths=widths, max_dead_zone=1.0)
    require_same(made.qat.freeze(), lower(made.qat, list("abcde")), made.samples)


@pytest.mark.parametrize("seed", range(12))
def test_any_program_of_this_shape(seed, exact_products):
    """Codes that no float model gives: saturation everywhere, thresholds below zero, leaks of any size."""
    program = exact_products(
        random_spiking_events(
            seed,
            value="token",
            norm=("batch", "layer")[seed % 2],
            readout=("mean", "time", "last")[seed % 3],
            state_width=(8, 12, 16)[seed % 3],
            pairing="causal",
        )
    )
    require_same(FrozenSpikingS5(program.nodes, 1), program, [random_sample(program, seed, n) for n in (37, 3, 0)])


def test_integers_are_near_the_float_model(build):
    """Where rounding flips no spike, every edge is within a few units of what the float model holds there."""
    widths = {"activation": 12, "output": 16, "feedthrough": 16, "gate": 16, "input": 16, "state": 24, "read": 16}
    made = build({"spiking": True, "stages": 1}, widths={**widths, "potential": 24, "embedding": 16})
    program = lower(made.qat, list("abcde"))
    values = FAMILY.float_values(made.model, program, made.batch.first(1))
    (trace,) = reference.run(program, made.samples[:1])
    compared = set()
    for node in program:
        own = node.name.rpartition("/")[2]
        if node.name in values:
            expected = values[node.name]
            apart = np.abs(trace.values[node.name][-len(expected) :] * node.output.scale - expected)
            assert apart.mean() <= 0.01 * max(np.abs(expected).max(), 0.1), node.name
            compared.add(own)
        if isinstance(node, DiagonalSSM | DrivenLIF):
            (state,) = node.states()
            held = trace.states[node.name] * 2.0**-state.fracs
            assert np.abs(held - values[f"{node.name}:state"]).mean() < 0.02 * np.abs(held).max()
            compared.add(f"{own}:state")
    assert {"current", "neurons", "y", "gate", "gated", "out", "ssm:state", "neurons:state", "decoder"} <= compared


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_the_threshold_is_folded_into_all_that_reaches_a_neuron(build, norm):
    """C, D and what a layer norm's beta gives D: the folded sums are those of the layer over its threshold."""
    made = build({"spiking": True, "norm": norm, "expansion": 2})
    layer = made.model.double().stages[1].layers[0]
    folded = exact_layer(partial(fold_layer, layer), "0")
    rng = np.random.default_rng(0)
    n, x = rng.normal(size=8), rng.normal(size=2 * len(folded.rate))
    u = n if norm == "batch" else n * layer.norm.weight.detach().numpy() + layer.norm.bias.detach().numpy()
    y = layer.ssm.output_matrix().detach().numpy() @ x + layer.ssm.D.detach().numpy() @ u
    expected = y / np.exp(layer.neuron.ln_vth.detach().numpy())
    np.testing.assert_allclose(folded.output @ x + folded.feedthrough @ n + folded.bias, expected, rtol=1e-10)
    assert np.ptp(np.exp(layer.neuron.ln_vth.detach().numpy())) > 0.1


def test_fine_tuning_computes_what_is_frozen_and_reaches_every_parameter(build):
    made = build({"spiking": True, "norm": "batch", "expansion": 2}, double=True)
    assert torch.equal(made.qat(*made.batch), made.qat.freeze()(*made.batch))
    made = build({"spiking": True, "expansion": 2})
    logits = made.qat.train()(*made.batch)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    for name, parameter in made.qat.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_report_tells_of_modes_and_neurons(build):
    made = build({"spiking": True, "tau": 0.2, "d_ssm": 16})
    ssm = made.qat.model.stages[0].layers[0].ssm
    with torch.no_grad():
        ssm.Lambda_re[:] = 0.1
    program = lower(made.qat, list("abcde"))
    first, second = list(FAMILY.report(made.qat, program))[:2]
    assert first["growing_modes"] == len(ssm.Lambda_re)
    assert first["dead_zones"]["state"]["units"] == 0 < second["dead_zones"]["state"]["units"]
    assert first["dead_zones"]["potential"]["units"] > 0.5, "that a mode grows does not hold a neuron"
    assert {zone.state for zone in zones(made.qat, program.nodes)} == {"state", "potential"}
    assert first["potential"] == str(program["stages/0/layers/0/neurons"].potential)
    assert FAMILY.report(made.qat, program).table().row_count == 4
