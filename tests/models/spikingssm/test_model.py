"""The classifier: its forms agree, and settings outside their limits are refused."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.spikingssm.build import build_spikingssm
from pumice.models.spikingssm.layer import drop
from pumice.models.spikingssm.network import real_steps
from pumice.models.spikingssm.neuron import NEURONS

SMALL = {"family": "spikingssm", "name": "small", "d_model": 6, "d_state": 4, "dt_min": 0.01, "dt_max": 0.5}


def build(**changes):
    model = build_spikingssm(SMALL | changes, num_classes=3, in_features=2, seed=4).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("norm.weight", "norm.bias", "ln_vth")):
                parameter += 0.2 * torch.randn(parameter.shape, dtype=torch.float64)
            if name.endswith("kernel.D"):
                parameter += 1
    return model


def inputs(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def one_label(batch, steps):
    return torch.ones(batch, steps, dtype=torch.int64)


@pytest.mark.parametrize("placement", ["pre", "post", "reference"])
@pytest.mark.parametrize(
    "changes", [{}, {"norm": "layer"}, {"kernel": "trainable-b", "threshold": "shared"}], ids=["batch", "layer", "b"]
)
def test_step_by_step_is_the_whole_sequence(placement, changes):
    torch.manual_seed(0)
    model = build(norm_placement=placement, **changes)
    x = inputs(3, 70, 2)
    model.train()
    model(x, one_label(3, 70), 2)  # moves the running statistics of batch norm
    model.eval()
    whole = model.sequence(x)
    states, steps = model.initial_state(3), []
    for t in range(70):
        y, states = model.step(x[:, t], states)
        steps.append(y)
    torch.testing.assert_close(torch.stack(steps, 1), whole)
    for trace in model.traces(x):
        assert 0.02 < trace.spikes.mean() < 0.9
    assert model.blocks[0].layer.neuron.ln_vth.shape == ((1,) if "threshold" in changes else (6,))


def test_logits_are_the_mean_of_each_stretch():
    model = build().eval()
    x = inputs(2, 20, 2)
    blocks = torch.zeros(2, 20, dtype=torch.int64)
    blocks[0, 5:], blocks[1, 3:9], blocks[1, 9:] = 1, 1, 2
    logits, decoded = model(x, blocks, 3), model.sequence(x)
    torch.testing.assert_close(logits[0, 1], decoded[0, 5:].mean(0))
    torch.testing.assert_close(logits[1, 1:], torch.stack([decoded[1, 3:9].mean(0), decoded[1, 9:].mean(0)]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_padding_changes_nothing(training, bidirectional, norm):
    """A batch of two lengths against the same with other values in the padding, and the shorter one alone."""
    model = build(bidirectional=bidirectional, norm=norm).train(training)
    x, blocks = inputs(2, 40, 2), one_label(2, 40)
    blocks[1, 25:] = 0
    logits = model(x, blocks, 2)[:, 1]
    other = x.clone()
    other[1, 25:] = 100
    torch.testing.assert_close(model(other, blocks, 2)[:, 1], logits)
    if not training:
        torch.testing.assert_close(model(x[1:, :25], one_label(1, 25), 2)[:, 1], logits[1:])


def test_real_steps_end_with_the_last_label():
    blocks = torch.tensor([[0, 1, 0, 2, 0, 0], [1, 1, 1, 1, 1, 0]])
    assert real_steps(blocks).tolist() == [[True] * 4 + [False] * 2, [True] * 5 + [False]]
    assert real_steps(blocks[:, 1:4]) is None


def test_bidirectional_sees_what_comes():
    model = build(bidirectional=True).eval()
    x = inputs(1, 30, 2)
    later = x.clone()
    later[:, 20:] += 1
    assert not torch.equal(model.sequence(x)[:, :10], model.sequence(later)[:, :10])
    reversed_kernel = model.blocks[0].layer
    u = inputs(6, 1, 30)
    with torch.no_grad():
        both = reversed_kernel.current(u)
        reversed_kernel.kernel.C_back.zero_()
        back = both - reversed_kernel.current(u)
        forwards_only = build(bidirectional=True).blocks[0].layer.kernel.discrete_back(reversed_kernel.neuron.scale())
    response = [2 * (forwards_only.C * (forwards_only.rate * t).exp()).sum(1).real for t in range(29)]
    expected = sum(response[s - 11].unsqueeze(1) * u[..., s] for s in range(11, 30))
    torch.testing.assert_close(back[..., 10], expected)
    with pytest.raises(PumiceError, match="bidirectional=false"):
        model.step(x[:, 0], model.initial_state(1))


def test_dropout_is_shared_over_time_and_scales():
    torch.manual_seed(0)
    dropped = drop(torch.ones(50, 4, 9), 0.25, training=True)
    assert torch.equal(dropped[..., :1].expand_as(dropped), dropped)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(drop(dropped, 0.25, training=False), dropped)


def test_every_parameter_learns():
    for neuron in NEURONS:
        model = build(neuron=neuron, kernel="trainable-b")
        model(inputs(3, 60, 2), one_label(3, 60), 2)[:, 1].square().sum().backward()
        assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_thresholds_can_be_fixed():
    model = build(learn_threshold=False)
    assert "ln_vth" not in {name.rsplit(".", 1)[-1] for name, _ in model.named_parameters()}
    assert model.blocks[0].layer.neuron.scale().tolist() == [1.0] * 6


def test_the_seed_decides():
    first, same, other = (
        build_spikingssm(SMALL, num_classes=3, in_features=2, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["blocks.0.layer.kernel.C"], other["blocks.0.layer.kernel.C"])


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"d_state": 5}, "d_state=5 is odd"),
        ({"layers": 0}, "layers=0"),
        ({"neuron": "other"}, "neuron=other"),
        ({"norm_placement": "none"}, "pre, post, reference"),
        ({"tau": 1.0}, "tau=1.0"),
        ({"dt_min": 1, "dt_max": 0.1}, "dt_min"),
        ({"dropout": "much"}, "dropout=much"),
        ({"bidirectional": 1}, "bidirectional=1"),
        ({"hidden": 4}, "no setting 'hidden'"),
    ],
)
def test_settings_outside_their_limits_are_refused(change, part):
    with pytest.raises(PumiceError, match=part):
        build(**change)


def test_a_training_model_does_not_step():
    model = build()
    with pytest.raises(PumiceError, match="eval"):
        model.step(inputs(1, 2), model.initial_state(1))
