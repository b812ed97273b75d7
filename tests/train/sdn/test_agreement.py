from pathlib import Path

import numpy as np
import pytest
import torch
from pumice.models.sdn import SurrogateDynamicNetwork, lif_membrane, published_tensors, shipped_sdn
from pumice.models.sdn.network import sweep, tensor_shapes
from pumice.train.sdn.agreement import agreement, baselines, distributions, evaluate, with_sweeps

GOLDEN = Path(__file__).parents[2] / "golden" / "golden_sdn.npz"


def test_figures_are_those_of_a_count_by_hand():
    x = torch.tensor([[0.95, 0.9, 1.2, 0.3], [0.5, 2.0, 0.0, 0.88]])
    # Exact spikes: 0.95 no, then 0.9 + 0.11875 yes, 1.2 yes, 0.3 no; 0.5 no, 2.0 yes, no, 0.88 no.
    found = agreement(torch.zeros_like, x, 0.125)
    assert (found.sequences, found.steps) == (2, 4)
    assert found.spike_rate == 3 / 8
    assert found.agreement == found.no_memory == 7 / 8
    assert found.recall == found.no_memory_recall == pytest.approx(2 / 3)
    assert found.precision == 1
    assert found.band_steps == 3 / 8
    assert found.band_agreement == pytest.approx(2 / 3)
    exact, _ = lif_membrane(x, 0.125)
    assert found.mae == pytest.approx(exact.abs().mean().item())
    wrong = agreement(lambda x: torch.full_like(x, 9.0), x, 0.125)
    assert wrong.agreement == 3 / 8
    assert wrong.recall == 1
    assert wrong.precision == 3 / 8


def test_the_exact_neuron_agrees_with_itself():
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(0))
    found = agreement(lambda x: lif_membrane(x, 0.2)[0], x, 0.2)
    assert found.agreement == found.recall == found.precision == found.band_agreement == 1
    assert found.mae == 0
    assert found.no_memory < 1


def test_shares_of_nothing_are_none():
    found = agreement(torch.zeros_like, torch.zeros(2, 5), 0.125)
    assert found.recall is found.no_memory_recall is found.precision is found.band_agreement is None
    assert found.agreement == 1


def test_all_distributions_are_evaluated_on_the_same_drives():
    seen = []

    def predict(x):
        seen.append(x)
        return torch.zeros_like(x)

    first = evaluate(predict, 0.2, sequences=3, steps=20, seed=1)
    second = evaluate(predict, 0.2, sequences=3, steps=20, seed=1)
    assert first == second
    assert list(first) == list(distributions(0.2))
    assert len({tuple(x.flatten().tolist()) for x in seen}) == len(first)
    assert evaluate(predict, 0.2, sequences=3, steps=20, seed=2) != first
    assert first["near, constant"].band_steps == 1


def test_baselines_become_exact_with_their_sweeps():
    x = torch.randn(20, 300, generator=torch.Generator().manual_seed(0))
    shares = [agreement(predict, x, 0.2).agreement for predict in baselines(0.2).values()]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9999
    assert shares[0] < 0.99


def test_sweeps_can_be_changed():
    network = shipped_sdn(0.125)
    plain, swept = with_sweeps(network, 0), with_sweeps(network, 2)
    x = torch.randn(5, 60, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(swept(x), sweep(x, plain(x), 0.125, 2))


def test_the_bound_on_constant_drives():
    """No network with a finite memory is right on more than the share of steps that one value for all of them has."""
    x = torch.full((1, 4096), 0.95)
    _, spikes = lif_membrane(x, 0.125)
    best = max(spikes.mean().item(), 1 - spikes.mean().item())
    assert best == 0.5
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        shapes = tensor_shapes(2, 4, 5)
        network = SurrogateDynamicNetwork(
            0.125, {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}, 8
        )
        right = (network.spikes(x) == spikes).float().mean().item()
        assert right <= best + network.memory / 4096


def test_the_network_that_comes_with_pumice_is_at_least_as_good_as_the_published_one():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        weights = {
            f"conv{layer}.{leaf}": torch.from_numpy(np.array(archive[f"sdn_conv{layer}_{leaf}"]))
            for layer in (1, 2, 3)
            for leaf in ("weight", "bias")
        }
    published = SurrogateDynamicNetwork(0.125, published_tensors(weights))
    theirs, ours = (evaluate(network, 0.125, sequences=60) for network in (published, shipped_sdn(0.125)))
    for name, found in ours.items():
        assert found.agreement >= theirs[name].agreement, name
        assert found.mae <= theirs[name].mae, name
        assert found.agreement >= found.no_memory, name
    assert all(found.agreement > 0.9999 for name, found in ours.items() if "near" not in name)
    assert ours["near, noise 0.03"].agreement > theirs["near, noise 0.03"].agreement + 0.15


def test_the_network_for_tau_02():
    found = evaluate(shipped_sdn(0.2), 0.2, sequences=60)
    assert all(entry.agreement >= entry.no_memory for entry in found.values())
    assert all(entry.agreement > 0.9999 for name, entry in found.items() if "near" not in name)
