"""SpikingSSM from float to integers: the frozen model, the reference and the simulator agree on every value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.api.frozen import run_frozen
from pumice.errors import PumiceError
from pumice.hw_sim import simulator
from pumice.hw_sim.parity.compare import compare
from pumice.models.spikingssm.config import SpikingSSMConfig
from pumice.models.spikingssm.network import SpikingSSM
from pumice.program import Format, reference
from pumice.program.nodes import ChannelSSM, DrivenLIF
from pumice.program.random.programs import random_sample
from pumice.program.random.spiking import random_spiking
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import FAMILIES, lower, prepare
from pumice.quantize.qat import calibrate
from pumice.quantize.spiking_output import leak
from pumice.quantize.spikingssm.frozen import FrozenSpikingSSM
from pumice.train.data.inputs import Inputs
from torch import Generator

LENGTHS = (40, 40, 13, 1)


VOCAB = 9


def build(tokens=False, **settings):
    """A small network with thresholds, norms and statistics of its own."""
    chosen = {"d_model": 6, "d_state": 6, "norm_placement": "pre", "dt_min": 0.01, "dt_max": 0.3, **settings}
    chosen |= {"vocab": VOCAB} if tokens else {"in_features": 2}
    model = SpikingSSM(SpikingSSMConfig(num_classes=3, **chosen), Generator().manual_seed(1))
    generator = Generator().manual_seed(2)
    with torch.no_grad():
        for block in model.blocks:
            block.layer.neuron.ln_vth.uniform_(-0.5, 0.5, generator=generator)
            if block.norm is not None:
                if model.config.norm == "batch":
                    block.norm.running_var.fill_(0.2)
                    block.norm.running_mean.uniform_(-0.2, 0.2, generator=generator)
                else:
                    block.norm.bias.uniform_(-0.3, 0.3, generator=generator)
                block.norm.weight.uniform_(0.5, 1.5, generator=generator)
    return model.eval()


def batch(double=False, tokens=False):
    if tokens:  # what lies behind a sample is padding, and no token
        drawn = torch.randint(VOCAB, (len(LENGTHS), max(LENGTHS)), generator=Generator().manual_seed(3))
        real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
        return Inputs(torch.where(real, drawn, VOCAB + 5), None, torch.tensor(LENGTHS))
    values = torch.rand(len(LENGTHS), max(LENGTHS), 2, generator=Generator().manual_seed(3))
    lengths = torch.tensor(LENGTHS)
    steps = torch.arange(max(LENGTHS)) < lengths.unsqueeze(1)
    return Inputs((values * steps.unsqueeze(2)).to(torch.float64 if double else torch.float32), None, lengths)


def quantized(model, **settings):
    tokens = model.config.vocab is not None
    return calibrate(prepare(model, QuantizationConfig.from_mapping(settings)), [batch(tokens=tokens)])


def samples_of(inputs):
    values = inputs.values if inputs.values.dim() == 2 else inputs.values.double()
    return [(values[row, :steps].numpy(), 1000 * np.arange(steps)) for row, steps in enumerate(LENGTHS)]


def blocks_of(inputs):
    return (torch.arange(max(LENGTHS)) < inputs.lengths.unsqueeze(1)).long()


def require_same(frozen, program, samples):
    backends = {
        "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
        "twin": lambda program, samples, trace: run_frozen(frozen, program, samples, trace),
        "simulator": lambda program, samples, trace: simulator.run(program, samples, trace=trace),
    }
    found = compare(program, samples, backends, traced=len(samples))
    for verdict in found.verdicts:
        assert verdict.differing == 0, verdict.first
        assert verdict.states[0] == verdict.states[1] > 0


NORMS = [("batch", "pre"), ("batch", "post"), ("layer", "pre"), ("layer", "post"), ("layer", "reference")]


@pytest.mark.parametrize(("norm", "placement"), NORMS)
@pytest.mark.parametrize("widths", [{}, {"state": 20, "potential": 24, "output": 4}])
def test_the_twin_the_reference_and_the_simulator_agree(norm, placement, widths):
    qat = quantized(build(norm=norm, norm_placement=placement, tau=0.2), widths=widths)
    program, frozen = lower(qat, ["a", "b", "c"]), qat.freeze()
    require_same(frozen, program, samples_of(batch()))
    logits = frozen(batch(True).values, blocks_of(batch()), 2)[:, 1] * 2.0 ** program["decoder"].output.frac
    traces = reference.run(program, samples_of(batch()))
    np.testing.assert_array_equal(logits.numpy(), np.stack([trace.logits for trace in traces]))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_same_of_tokens(norm):
    qat = quantized(build(tokens=True, norm=norm))
    program, frozen, inputs = lower(qat, ["a", "b", "c"]), qat.freeze(), batch(tokens=True)
    assert [node.name for node in program][:3] == ["token", "embedding", "blocks/0/norm"]
    require_same(frozen, program, samples_of(inputs))
    logits = frozen(inputs.values, blocks_of(inputs), 2)[:, 1] * 2.0 ** program["decoder"].output.frac
    traces = reference.run(program, samples_of(inputs))
    np.testing.assert_array_equal(logits.numpy(), np.stack([trace.logits for trace in traces]))
    with pytest.raises(PumiceError, match=f"the model knows 0 to {VOCAB - 1}"):
        frozen(torch.full((1, 4), VOCAB), torch.ones(1, 4, dtype=torch.int64), 2)


def test_gamma_and_beta_are_the_nodes_own():
    """12 bits of gamma; beta at eight bits below the output's, as slow modes integrate what is lost of it."""
    model = build(norm="layer")
    program = lower(quantized(model), ["a", "b", "c"])
    norm, node = model.blocks[0].norm, program["blocks/0/norm"]
    apart = np.abs(node.gamma * 2.0**-node.gamma_frac - norm.weight.detach().numpy())
    assert apart.max() <= 2.0 ** -(node.gamma_frac + 1)
    assert 1 << 10 <= np.abs(node.gamma).max() < 1 << 11
    assert node.beta_frac == node.output.frac + 8
    apart = np.abs(node.beta * 2.0**-node.beta_frac - norm.bias.detach().numpy())
    assert apart.max() <= 2.0 ** -(node.beta_frac + 1)


@pytest.mark.parametrize("seed", range(25))
def test_any_program_of_this_shape(seed, exact_products):
    """Codes that no float model gives: saturation everywhere, thresholds below zero, leaks of any size."""
    program = exact_products(
        random_spiking(
            seed, value=("dense", "token")[seed % 2], norm=("batch", "none", "affine")[seed % 3], readout="mean"
        )
    )
    require_same(FrozenSpikingSSM(program.nodes), program, [random_sample(program, seed, steps) for steps in (17, 3)])


@pytest.mark.parametrize(("norm", "placement", "tokens"), [*((*kind, False) for kind in NORMS), ("layer", "pre", True)])
def test_integers_are_near_the_float_model(norm, placement, tokens):
    """Where rounding flips no spike, every edge is within a few units of what the float model holds there."""
    model = build(tokens=tokens, norm=norm, norm_placement=placement)
    qat = quantized(model, widths={"activation": 12, "dense_input": 12, "output": 16, "feedthrough": 16, "gate": 16,
                                   "state": 24, "potential": 24, "embedding": 16, "norm": 16})  # fmt: skip
    program = lower(qat, ["a", "b", "c"])
    values = FAMILIES["spikingssm"].float_values(model, program, batch(tokens=tokens))
    (trace,) = reference.run(program, samples_of(batch(tokens=tokens))[:1])
    nodes = [node for node in program if node.name != "token"]
    assert {node.name for node in nodes} <= set(values)
    for node in nodes:
        codes = trace.values[node.name] * node.output.scale
        expected = values[node.name]
        apart = np.abs(codes[-len(expected) :] - expected)
        assert apart.mean() <= 0.01 * max(np.abs(expected).max(), 0.1), node.name
        for state in node.states():
            if isinstance(node, ChannelSSM | DrivenLIF):
                held = trace.states[node.name] * 2.0**-state.fracs
                assert np.abs(held - values[f"{node.name}:state"]).mean() < 0.02 * np.abs(held).max()


def test_the_neurons_fire_where_the_threshold_is_reached():
    program = lower(quantized(build()), ["a", "b", "c"])
    for node in program.of_type(DrivenLIF):
        assert (node.threshold == 2**node.potential.frac - 1).all()
        assert (node.alpha == 1).all()
        assert node.alpha_frac == 3


@pytest.mark.parametrize(("tau", "code", "frac"), [(0.125, 1, 3), (0.0, 0, 0), (0.5, 1, 1), (0.2, 13107, 16)])
def test_what_a_potential_keeps(tau, code, frac):
    assert leak(tau, 16) == (code, frac)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_fine_tuning_reaches_every_parameter_and_freezes_scales(norm):
    qat = quantized(build(norm=norm)).train()
    inputs = batch()
    logits = qat(inputs.values, blocks_of(inputs), 2)
    assert logits.shape == (4, 2, 3)
    assert (logits[:, 0] == 0).all()
    torch.nn.functional.cross_entropy(logits[:, 1], torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in qat.model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    before = qat.blocks[0].weights["gate"].frac.clone()
    qat.freeze_scales()
    with torch.no_grad():
        qat.model.blocks[0].layer.output.weight.mul_(8)
    qat(inputs.values, blocks_of(inputs), 2)
    assert torch.equal(before, qat.blocks[0].weights["gate"].frac)


def test_the_report_has_a_line_a_block():
    qat = quantized(build(layers=2))
    program = lower(qat, ["a", "b", "c"])
    found = FAMILIES["spikingssm"].report(qat, program)
    assert [entry["layer"] for entry in found] == ["blocks.0", "blocks.1"]
    ssm = program["blocks/1/ssm"]
    assert found[1]["state_frac"] == [ssm.state_frac.min(), ssm.state_frac.max()]
    assert 0 < found[0]["dead_zones"]["state"]["share"] < 0.1
    assert found.table().row_count == 2


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bidirectional": True}, "train with bidirectional=false"),
        ({"head": "retrieval"}, "train with head=mean"),
    ],
)
def test_what_no_program_can_hold_is_refused_by_its_setting(settings, sentence):
    with pytest.raises(PumiceError, match=sentence):
        prepare(build(**settings), QuantizationConfig())
    reason = FAMILIES["spikingssm"].unavailable({"model": {"family": "spikingssm", **settings}})
    assert sentence in reason


def test_several_labels_a_sequence_are_refused():
    qat = quantized(build())
    with pytest.raises(PumiceError, match="2 labelled stretches a sequence"):
        qat(batch().values, blocks_of(batch()), 3)


def test_widths_of_layers_that_are_not_there():
    with pytest.raises(PumiceError, match=r"names the width synapses, .* its widths are activation, constant"):
        prepare(build(), QuantizationConfig(layers={"blocks.0": {"synapses": 4}}))


def test_a_potential_keeps_its_threshold_however_large_currents_are():
    model = build()
    with torch.no_grad():
        model.blocks[1].layer.neuron.ln_vth.fill_(-9)
    qat = quantized(model)
    program = lower(qat, ["a", "b", "c"])
    assert program["blocks/1/neurons"].potential == Format(16, True, 8)
    assert program["blocks/0/neurons"].potential.frac > 8
    require_same(qat.freeze(), program, samples_of(batch()))
