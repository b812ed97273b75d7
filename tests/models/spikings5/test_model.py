"""Spiking S5: event by event as in whole sequences, and what its layers compute."""

import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.s5.times import EventTimes
from pumice.models.scan.threshold import threshold_scan
from pumice.models.spikings5.build import build_spikings5
from torch.nn.functional import glu

SMALL = {
    "family": "spikings5",
    "name": "small",
    "d_model": 8,
    "d_ssm": 8,
    "block_size": 4,
    "stride": 4,
    "norm": "batch",
}


def build(**changes):
    model = build_spikings5(SMALL | changes, num_classes=3, vocab=6, seed=2)
    with torch.no_grad():
        for layer in model.layers:
            layer.neuron.ln_vth.uniform_(-2, -0.5)
    return model


@pytest.fixture
def events():
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(6, (3, 70), generator=generator)
    dt = torch.rand(3, 70, generator=generator) * 5
    lengths = torch.tensor([70, 40, 66])
    padding = torch.arange(70) >= lengths.unsqueeze(1)
    return tokens.masked_fill(padding, -1), dt.masked_fill(padding, 0), lengths


@pytest.mark.parametrize(
    "changes",
    [{}, {"pooling": "timepool", "head": "timepool"}, {"pooling": "last", "expansion": 2, "norm": "layer"}],
    ids=["avgpool", "timepool", "last"],
)
def test_event_by_event_is_the_whole_sequence(events, changes):
    tokens, dt, lengths = events
    model = build(**changes)
    model.train()
    model(tokens, dt, lengths)  # moves the running statistics of batch norm
    model.eval()
    whole = model(tokens, dt, lengths)
    state, rates = model.init_state(3), []
    for k in range(70):
        _, valid, state = model.step(tokens[:, k], dt[:, k], state, valid=k < lengths)
        rates.append(valid)
    torch.testing.assert_close(model.readout(state), whole, rtol=1e-4, atol=1e-5)
    assert torch.stack(rates).sum(0).tolist() == (lengths // 16).tolist()


@pytest.mark.parametrize("neuron", ["sdn", "bptt", "sltt"])
@pytest.mark.parametrize("length", [0, 3, 9])
def test_samples_without_a_window_give_the_decoders_bias(neuron, length):
    model, tokens, dt = build(neuron=neuron), torch.zeros(2, length, dtype=torch.int64), torch.ones(2, length)
    for training in (True, False):
        model.train(training and length > 4)
        logits = model(tokens, dt, torch.full((2,), length))
        torch.testing.assert_close(logits, model.decoder.bias.expand(2, 3))
    logits.sum().backward()
    assert model.decoder.bias.grad.tolist() == [2, 2, 2]


def test_a_layer_reads_spikes_alone(events):
    _, dt, lengths = events
    model = build().eval()
    layer = model.layers[1]
    x = torch.randn(3, 30, 8, generator=torch.Generator().manual_seed(4))
    times = EventTimes(dt[:, :30], dt[:, :30], lengths.clamp(max=30))
    u = layer.norm(x, times.real)
    y = layer.ssm(u @ layer.ssm.input_matrix().mT, u, times)
    current = y / layer.neuron.ln_vth.exp()
    spikes = threshold_scan(current.mT, 0.125, implementation="torch").mT
    assert 0.02 < spikes.mean() < 0.9
    torch.testing.assert_close(layer(x, times), x + glu(layer.output(spikes), dim=-1))


@pytest.mark.parametrize("neuron", ["sdn", "bptt", "sltt"])
def test_every_parameter_learns(events, neuron):
    model = build(neuron=neuron)
    model(*events).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_settings_of_neurons_are_checked():
    with pytest.raises(PumiceError, match="neuron=gelu is unknown; choose one of sdn, bptt, sltt"):
        build(neuron="gelu")
    with pytest.raises(PumiceError, match="activation=relu is for S5; spiking S5 has neurons there"):
        build(activation="relu")
    with pytest.raises(PumiceError, match="d_ssm=6 is not a multiple"):
        build(d_ssm=6)
