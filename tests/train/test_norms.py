"""Statistics of batch norms, estimated anew."""

import numpy as np
import pytest
import torch
from pumice.models.spikingssm.build import build_spikingssm
from pumice.train.data.images.task import PixelSet
from pumice.train.norms import estimate_norms
from pumice.train.settings import TrainingSettings


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    return PixelSet("pixels", ("a", "b"), rng.integers(0, 256, (40, 30), dtype=np.uint8), np.arange(40) % 2, 0, 255)


def small(**changes):
    return build_spikingssm(
        {"d_model": 6, "d_state": 4, "dropout": 0.4} | changes, num_classes=2, in_features=1, seed=0
    )


def test_they_are_the_mean_over_the_batches(pixels):
    model = small()
    batches = [pixels.batch(range(start, start + 20), None) for start in (0, 20)]
    with torch.no_grad():
        streams = [model.encode(batch.inputs).reshape(6, -1) for batch in batches]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    estimate_norms(model, batches)
    norm = model.blocks[0].norm
    torch.testing.assert_close(norm.running_mean, torch.stack(streams).mean(2).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack(streams).var(2).mean(0))
    assert norm.momentum == 0.1
    assert all(module.training for module in model.modules())
    assert {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])} == {
        f"blocks.{number}.norm.running_{what}" for number in (0, 1) for what in ("mean", "var")
    }
    once = {name: value.clone() for name, value in model.state_dict().items()}
    estimate_norms(model, batches)
    assert all(torch.equal(value, once[name]) for name, value in model.state_dict().items())


def test_a_model_without_batch_norm_stays(pixels):
    model = small(norm="layer")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    estimate_norms(model, [pixels.batch(range(4), None)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_single_sample_is_refused():
    with pytest.raises(Exception, match="norm_samples=1"):
        TrainingSettings(epochs=1, warmup_epochs=0, batch_size=1, weight_decay=0, lr=0.1, norm_samples=1)
