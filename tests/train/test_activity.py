"""The penalty on spikes against plain loops over samples without padding; what training does with it."""

import copy

import numpy as np
import pytest
import torch
from pumice.errors import PumiceError
from pumice.models.adlif.build import build_adlif
from pumice.models.s5.build import build_s5
from pumice.models.spikes import listening
from pumice.models.spikings5.build import build_spikings5
from pumice.models.spikingssm.build import build_spikingssm
from pumice.train.activity import ActivityPenalty, SpikeRates, batch_rates, rates_text
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.sequences.batch import BlockBatch, SeriesBatch
from pumice.train.data.text.aan import PairBatch
from pumice.train.settings import TrainingSettings
from small_training import interrupt, train_small

RECIPE = {"epochs": 2, "warmup_epochs": 0, "batch_size": 8, "lr": 1e-2, "weight_decay": 0.0}
S5 = {"d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 2, "norm": "layer"}
LSTM = {"cell": "lstm", "hidden": 4, "layers": 1, "tau_out": [5, 5]}
LENGTHS = torch.tensor([21, 9, 16])
COLUMNS = ("train/spike_rate", "train/loss", "validation/loss")


def settings(**changes):
    return TrainingSettings(**{**RECIPE, "activity": 5.0, **changes})


def adlif(cell="se-adlif", **changes):
    model = build_adlif(
        {"cell": cell, "hidden": 12, "layers": 2, "tau_out": [5, 5], **changes}, num_classes=3, in_features=3, seed=1
    )
    with torch.no_grad():
        for layer in model.cells:
            layer.input.weight *= 10
    return model


def spiking_s5():
    model = build_spikings5(S5, num_classes=3, vocab=6, seed=2)
    with torch.no_grad():
        for layer in model.layers:
            layer.neuron.ln_vth.uniform_(-2, -0.5, generator=torch.Generator().manual_seed(1))
    return model


def spiking_ssm(**changes):
    return build_spikingssm({"d_model": 6, "d_state": 4, "norm": "layer", "dropout": 0.0, **changes}, num_classes=3,
                            seed=4, **({} if "vocab" in changes else {"in_features": 3}))  # fmt: skip


def steps_batch():
    """Steps whose padding is not 0, and lengths that no window divides."""
    inputs = torch.randn(3, 21, 3, generator=torch.Generator().manual_seed(5)) * 3
    blocks = (torch.arange(21) < LENGTHS.unsqueeze(1)).long()
    return BlockBatch(inputs, blocks, torch.tensor([[-1, 0], [-1, 1], [-1, 2]]), LENGTHS)


def events_batch():
    generator = torch.Generator().manual_seed(3)
    padding = torch.arange(21) >= LENGTHS.unsqueeze(1)
    tokens = torch.randint(6, (3, 21), generator=generator).masked_fill(padding, -1)
    dt = (torch.rand(3, 21, generator=generator) * 5).masked_fill(padding, 0)
    return EventBatch(tokens, dt, dt, LENGTHS, torch.eye(3))


FAMILIES = {
    "se-adlif": (adlif, steps_batch),
    "ef-adlif": (lambda: adlif("ef-adlif", q=60), steps_batch),
    "lif": (lambda: adlif("lif"), steps_batch),
    "cuba-lif": (lambda: adlif("cuba-lif"), steps_batch),
    "spikings5": (spiking_s5, events_batch),
    "spikingssm": (spiking_ssm, steps_batch),
}


def one_by_one(model, batch):
    """Spikes of each layer, (rows, H), from samples that are run alone and without padding."""
    samples = []
    for row, length in enumerate(batch.lengths.tolist()):
        caught = [[] for _ in layers(model)]
        undo = [catch(layer, kept) for layer, kept in zip(layers(model), caught, strict=True)]
        if isinstance(batch, BlockBatch):
            model(batch.inputs[row : row + 1, :length], batch.blocks[row : row + 1, :length], 2)
        else:
            parts = (part[row : row + 1, :length] for part in (batch.tokens, batch.dt))
            model(*parts, batch.lengths[row : row + 1])
        for each in undo:
            each()
        samples.append([torch.cat(kept) for kept in caught])
    return [torch.cat(parts) for parts in zip(*samples, strict=True)]


def layers(model):
    if hasattr(model, "cells"):
        return list(model.cells)
    return list(model.layers) if hasattr(model, "stages") else [block.layer for block in model.blocks]


def catch(layer, kept):
    """Look at the neurons themselves, whatever else tells their spikes."""
    if hasattr(layer, "neuron"):

        def seen(neuron, given, spikes):
            first = spikes if hasattr(layer, "gate") or spikes.shape[0] == 1 else spikes.transpose(0, 1)
            kept.append(first[0].mT.detach())

        return layer.neuron.register_forward_hook(seen).remove
    own = layer.trace

    def traced(x, state=None):
        trace = own(x, state)
        kept.append(trace.z[0].detach())
        return trace

    layer.trace = traced
    return lambda: delattr(layer, "trace")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("scope", ["neuron", "layer"])
def test_the_penalty_is_that_of_samples_without_padding(family, scope):
    build, batch = FAMILIES[family]
    model, batch = build(), batch()
    model.eval()
    with listening(model) as heard:
        batch.apply(model)
    rates = batch_rates(heard, model, batch)
    expected = [spikes.double().mean(0).numpy() for spikes in one_by_one(model, batch)]
    assert len(rates) == len(expected) > 1
    for found, wanted in zip(rates.values(), expected, strict=True):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-6)
    assert max(wanted.max() for wanted in expected) > 0.1
    costs = []
    for rate in expected:
        r = np.array([rate.mean()]) if scope == "layer" else rate
        costs.append(np.mean(np.where(r > 0.08, (r - 0.08) ** 2, np.where(r < 0.03, (0.03 - r) ** 2, 0))))
    bounds = settings(activity_upper=0.08, activity_lower=0.03, activity_scope=scope)
    penalty = ActivityPenalty(model, bounds)(rates)
    assert float(penalty.detach()) == pytest.approx(5 * np.mean(costs), rel=1e-5)
    assert float(penalty.detach()) > 0


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("bounds", "sign"), [({"upper": 0.0}, -1), ({"upper": 1.0, "lower": 1.0}, 1)])
def test_its_gradient_alone_moves_the_rates(family, bounds, sign):
    build, batch = FAMILIES[family]
    model, batch = build().train(), batch()
    penalty = ActivityPenalty(model, settings(**{f"activity_{name}": bound for name, bound in bounds.items()}))
    optimizer, means = torch.optim.Adam(model.parameters(), lr=0.02), []
    for _ in range(8):
        with listening(model) as heard:
            batch.apply(model)
        rates = batch_rates(heard, model, batch)
        means.append(float(torch.stack([rate.detach().mean() for rate in rates.values()]).mean()))
        optimizer.zero_grad()
        penalty(rates).backward()
        optimizer.step()
    assert sign * (means[-1] - means[0]) > 0.01
    first = next(model.cells[0].parameters()) if hasattr(model, "cells") else layers(model)[0].neuron.ln_vth
    assert first.grad.abs().sum() > 0


def test_predicted_steps_and_both_texts_of_a_pair_count():
    model = adlif()
    series, heard = torch.randn(4, 10, 3) * torch.tensor([1, 1, 3, 3]).reshape(4, 1, 1), []
    rates = SpikeRates(model)
    for batch in rates.over([SeriesBatch(part, part, torch.tensor(4)) for part in series.split([3, 1])]):
        with torch.no_grad(), listening(model) as said:
            batch.apply(model)
        heard.append({path: torch.cat(parts, 1) for path, parts in said.items()})
    assert [said["cells.0"].shape for said in heard] == [(3, 10, 12), (1, 10, 12)]
    expected = {path: float(torch.cat([said[path] for said in heard]).mean()) for path in heard[0]}
    assert rates.figures()["spike_rates"] == pytest.approx(expected)

    texts = spiking_ssm(head="retrieval", vocab=9)
    tokens, lengths = torch.randint(9, (2, 2, 12)), torch.tensor([[12, 5], [7, 9]])
    rates = SpikeRates(texts.eval())
    with torch.no_grad():
        for batch in rates.over([PairBatch(tokens, lengths, torch.zeros(2, 1).long())]):
            batch.apply(texts)
        alone = [
            texts.traces(tokens.reshape(4, 12)[i : i + 1, :n])[0].spikes[:, 0] for i, n in enumerate((12, 5, 7, 9))
        ]
    assert rates.figures()["spike_rates"]["blocks.0.layer"] == pytest.approx(float(torch.cat(alone, 1).mean()))


def test_rates_for_people_and_models_without_spikes():
    assert rates_text({"cells.0": 0.032, "cells.1": 0.0411}) == "cells.0 3.20%, cells.1 4.11%"
    assert SpikeRates(build_s5(S5, num_classes=3, vocab=6, seed=0)).figures() == {}


@pytest.mark.parametrize(
    "model",
    [
        lambda: build_s5(S5, num_classes=3, vocab=6, seed=0),
        lambda: build_adlif(LSTM, num_classes=3, in_features=3, seed=1),
    ],
)
def test_a_model_without_spikes_is_refused(model):
    with pytest.raises(PumiceError, match=r"training.activity=5.0 limits how often neurons spike, and this model has"):
        ActivityPenalty(model(), settings())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"activity": 0.0}, "training.activity=0.0 has to be above 0, or null"),
        ({"activity_lower": 0.1}, "activity_lower=0.1 and training.activity_upper=0.05 have to be in order"),
        ({"activity_upper": 1.5}, "training.activity_upper=1.5 have to be in order, between 0 and 1"),
        ({"activity_scope": "network"}, "activity_scope=network is unknown; use one of: neuron, layer"),
    ],
)
def test_settings_outside_their_limits_are_refused(changes, sentence):
    with pytest.raises(PumiceError) as refused:
        settings(**changes)
    assert sentence in str(refused.value)


def test_nothing_is_left_behind():
    """A model that was listened to computes, copies and saves as one that was not."""
    model, batch = adlif(), steps_batch()
    with pytest.raises(RuntimeError), listening(model):
        raise RuntimeError
    assert not any(module._forward_hooks for module in model.modules())
    assert not [name for name in model.state_dict() if "tap" in name]
    copied = copy.deepcopy(model)
    with listening(model) as heard:
        batch.apply(copied)
    assert heard == {"cells.0": [], "cells.1": []}


@pytest.fixture
def trained(small_set, tmp_path):
    """``trained(name, **recipe)``: the keeper of a training on the small set, and what it logged."""

    def train(name="run", **recipe):
        model = build_spikings5({**S5, "neuron": "bptt", "stride": 4}, num_classes=20, vocab=700, seed=0)
        return train_small(model, small_set, tmp_path / name, settings(**recipe), csv=True, every_steps=1)

    return train


def logged(folder, column):
    rows = (folder / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()
    place = rows[0].split(",").index(column)
    return [float(row.split(",")[place]) for row in rows[1:] if row.split(",")[place]]


def test_an_interrupted_training_ends_with_the_same_weights(trained, tmp_path, monkeypatch):
    recipe = {"checkpoint_every_steps": 3, "activity": 100.0, "activity_upper": 0.0}
    whole = trained("whole", **recipe)
    rates, losses, judged = (logged(tmp_path / "whole", name) for name in COLUMNS)
    assert 0.5 * rates[0] > rates[-1] > 0
    assert max(judged) < losses[0]  # which has no penalty
    interrupt(monkeypatch, lambda: trained("cut", **recipe), at=11)
    cut = trained("cut", **recipe)
    assert cut.best_path.read_bytes() == whole.best_path.read_bytes()
