"""Networks: sizes of the published experiments, stepping, constraints, stability, read-out, blocks."""

from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pumice.errors import PumiceError
from pumice.models.adlif.blocks import aggregate
from pumice.models.adlif.build import build_adlif
from pumice.models.adlif.config import CELLS, AdLIFConfig

CONFIGS = Path(__file__).parents[3] / "configs" / "model" / "adlif"

# name: inputs, outputs, parameters (Baronig et al. 2024)
PUBLISHED = {
    "shd-small": (140, 20, 37_524),
    "shd": (140, 20, 450_020),
    "shd-ef": (140, 20, 450_020),
    "ssc": (140, 35, 1_688_435),
    "ssc-ef": (140, 35, 1_688_435),
    "ssc-lif": (140, 35, 1_684_115),
    "ecg": (4, 6, 4_614),
    "ecg-ef": (4, 6, 4_614),
    "bsd": (10, 20, 277_970),
    "bsd-lif": (10, 20, 278_548),
    "oscillation": (4, 4, 42_608),
    "oscillation-ef": (4, 4, 42_608),
    "oscillation-lif": (4, 4, 42_008),
    "oscillation-lstm": (4, 4, 42_808),
}


def size(network):
    return sum(parameter.numel() for parameter in network.parameters())


def published(name, **changes):
    inputs, outputs, _ = PUBLISHED[name]
    values = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    return build_adlif({**values, **changes}, num_classes=outputs, in_features=inputs, seed=0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name):
    assert size(published(name)) == PUBLISHED[name][2]


def test_the_smaller_ecg_network():
    assert size(published("ecg", layers=1)) == size(published("ecg-ef", layers=1)) == 1_842


def test_every_configuration_is_checked_here():
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*PUBLISHED, "tiny", "lif"}


def small(cell, **settings):
    q = 60 if cell == "ef-adlif" else 120
    values = {"cell": cell, "hidden": 12, "layers": 2, "q": q, "tau_out": [1, 20], **settings}
    network = build_adlif(values, num_classes=3, in_features=3, seed=1).double()
    for module in network.cells:
        if cell != "lstm":  # enough spikes
            module.input.weight.data *= 30
    return network


@pytest.mark.parametrize("cell", CELLS)
def test_steps_equal_the_sequence(cell):
    network = small(cell)
    x = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    potentials, last = network.sequence(x)
    states = network.initial_state(2)
    for t in range(40):
        value, states = network.step(x[:, t], states)
        torch.testing.assert_close(value, potentials[:, t])
    torch.testing.assert_close(states[-1], last[-1])
    for one, two in zip(states[:-1], last[:-1], strict=True):
        torch.testing.assert_close(tuple(one), tuple(two))
    if cell != "lstm":
        assert network.cells[1].trace(network.cells[0].sequence(x)[0]).z.any()


@pytest.mark.parametrize("cell", CELLS)
def test_a_series_feeds_on_its_own_predictions(cell):
    network = small(cell)
    x = torch.randn(2, 20, 3, dtype=torch.float64)
    predicted = network.predict_series(x, 8)
    expected, states, value = [], network.initial_state(2), None
    for t in range(20):
        value, states = network.step(x[:, t] if t < 8 else value, states)
        expected.append(value)
    torch.testing.assert_close(predicted, torch.stack(expected, 1))
    changed = torch.cat([x[:, :8], torch.zeros_like(x[:, 8:])], 1)
    assert torch.equal(network.predict_series(changed, 8), predicted)
    predicted.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_read_out_against_a_plain_loop():
    readout = small("lif").readout
    x = torch.randn(2, 15, 12, dtype=torch.float64)
    potentials, _ = readout.sequence(x)
    kappa = torch.exp(-1 / (readout.tau.p * 20 + (1 - readout.tau.p)))
    state = torch.zeros(2, 3, dtype=torch.float64)
    for t in range(15):
        state = kappa * state + (1 - kappa) * (x[:, t] @ readout.linear.weight.T + readout.linear.bias)
        torch.testing.assert_close(potentials[:, t], state)


@settings(deadline=None, max_examples=30)
@given(
    batch=st.integers(1, 3),
    steps=st.integers(1, 12),
    count=st.integers(1, 5),
    how=st.sampled_from(["softmax", "mean"]),
    seed=st.integers(0, 99),
)
def test_blocks_against_a_plain_loop(batch, steps, count, how, seed):
    g = torch.Generator().manual_seed(seed)
    potentials = torch.randn(batch, steps, 4, generator=g, dtype=torch.float64)
    blocks = torch.randint(count, (batch, steps), generator=g)
    found = aggregate(potentials, blocks, count, how)
    for b in range(batch):
        for n in range(count):
            rows = [potentials[b, t] for t in range(steps) if blocks[b, t] == n]
            expected = torch.zeros(4, dtype=torch.float64)
            for row in rows:
                expected += row.exp() / row.exp().sum() if how == "softmax" else row / len(rows)
            torch.testing.assert_close(found[b, n], expected)


def test_constraints():
    network = small("se-adlif")
    cell = network.cells[0]
    with torch.no_grad():
        for parameter in (cell.a, cell.b, cell.tau_u.p, cell.tau_w.p, network.readout.tau.p):
            parameter.copy_(torch.linspace(-3, 3, len(parameter)))
    network.constrain()
    assert (cell.a.min(), cell.a.max(), cell.b.min(), cell.b.max()) == (0, 1, 0, 2)
    assert cell.tau_u.tau().min() == 5
    assert cell.tau_u.tau().max() == 25
    assert cell.tau_w.tau().min() == 60
    assert cell.tau_w.tau().max() == 300
    assert network.readout.tau.tau().min() == 1


def test_initial_values():
    network = published("shd")
    cell = network.cells[1]
    identity = torch.eye(cell.hidden)
    torch.testing.assert_close(cell.recurrent @ cell.recurrent.T, identity, rtol=0, atol=1e-5)
    assert cell.input.weight.abs().max() <= 360**-0.5
    assert cell.input.weight.abs().max() > 0.99 * 360**-0.5
    assert not cell.input.bias.any()
    assert 0 <= cell.b.min() < 0.05
    assert 1.95 < cell.b.max() <= 2
    again = published("shd")
    assert all(torch.equal(one, two) for one, two in zip(network.parameters(), again.parameters(), strict=True))


def test_dropout_acts_on_what_is_passed_on_and_anew_each_step():
    network = published("ecg", layers=1, dropout=0.5)
    x = torch.randn(4, 60, 4) * 20
    spikes, _ = network.cells[0].sequence(x)
    seen = []
    original = network.readout.sequence
    network.readout.sequence = lambda value, state: (seen.append(value), original(value, state))[1]
    network.train().sequence(x)
    network.eval().sequence(x)
    dropped, whole = seen
    assert torch.equal(whole, spikes)
    kept = dropped[spikes > 0]
    assert set(kept.tolist()) == {0.0, 2.0}  # within a neuron's spikes, some are dropped and others not
    assert 0.4 < (kept > 0).float().mean() < 0.6


def test_unstable_weights_are_refused():
    stable = build_adlif({"cell": "ef-adlif", "hidden": 4, "q": 60}, num_classes=2, in_features=2, seed=0)
    state = stable.state_dict()
    state["cells.0.a"] = torch.ones(4)
    for cell, q in (("ef-adlif", 2_000), ("se-adlif", 200_000)):
        other = build_adlif({"cell": cell, "hidden": 4, "q": q}, num_classes=2, in_features=2, seed=0)
        with pytest.raises(PumiceError, match="unstable"):
            other.load_state_dict(state)
    stable.load_state_dict(state)


@pytest.mark.parametrize(("cell", "limit"), [("se-adlif", "se"), ("ef-adlif", "ef")])
def test_stability_limit_divides_bounded_from_growing(cell, limit):
    network = build_adlif({"cell": cell, "hidden": 2, "q": 1}, num_classes=2, in_features=1, seed=0).double()
    layer = network.cells[0]
    layer.spiking = layer.spiking._replace(threshold=float("inf"))  # below the threshold, where the dynamics are linear
    with torch.no_grad():
        layer.a.fill_(1)
        layer.recurrent.zero_()
    alpha, beta = layer.tau_u.decay().detach(), layer.tau_w.decay().detach()
    bound = (1 + alpha) * (1 + beta) if limit == "se" else 1 - alpha * beta
    layer.q = 1.0
    k = (1 - alpha) * (1 - beta)
    state = layer.initial_state(1)._replace(u=torch.ones(1, 2, dtype=torch.float64))
    x = torch.zeros(1, 8000, 1, dtype=torch.float64)
    for factor, unstable in ((0.99, False), (1.01, True)):
        layer.q = float((factor * bound / k)[0])
        assert layer.unstable()[0].item() is unstable
        _, last = layer.sequence(x, state)
        assert (last.u[0, 0].abs() < 10).item() is not unstable


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ({"cell": "gru"}, "cell=gru"),
        ({"hidden": 0}, "hidden=0"),
        ({"layers": 1.5}, "layers=1.5"),
        ({"dropout": 1}, "dropout=1"),
        ({"q": -1}, "q=-1"),
        ({"tau_u": [5]}, "tau_u"),
        ({"tau_w": [60, 5]}, "tau_w"),
        ({"aggregation": "max"}, "aggregation=max"),
        ({"wings": 2}, "no setting 'wings'"),
    ],
)
def test_bad_settings(setting, part):
    with pytest.raises(PumiceError, match=part):
        AdLIFConfig.from_mapping({"num_classes": 2, "in_features": 3, "family": "adlif", **setting})
