"""What the stages make of the settings: seeds, batches, and the figures of a training."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from pumice.stages import train as stage_train
from pumice.stages.build import build_data, build_model
from pumice.stages.folder import RunFolder
from pumice.train.data.plan import BatchKey
from pumice.train.evaluate import figures_of, predict
from pumice.train.settings import SystemSettings, TrainingSettings, read_section
from pumice.train.weights import load_weights


@pytest.fixture
def configured(small_run):
    """The configuration of a small run, as the stages get it."""

    def make(*more):
        with initialize_config_module("pumice.configs", version_base=None):
            composed = compose("config", overrides=[*small_run, "logging.csv=false", "logging.progress=false", *more])
        plain = OmegaConf.to_container(composed, resolve=False)
        return {key: value for key, value in plain.items() if key not in ("run_dir", "redo")}

    return make


def data_of(config):
    return build_data(config, read_section(TrainingSettings, config, "training"), SystemSettings())


def test_seeds_of_order_and_weights_are_those_of_the_run(configured):
    orders, weights = [], []
    for seed in (0, 1, 1):
        config = configured(f"seed={seed}")
        data = data_of(config)
        orders.append(np.ravel(data.train_dataloader().plan.order(0)).tolist())
        weights.append(build_model(config, data).decoder.weight)
    assert orders[1] == orders[2] != orders[0]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])


def test_batches_are_of_the_sizes_that_are_set(configured):
    data = data_of(configured("training.batch_size=8", "training.eval_batch_size=16"))
    assert {len(batch.lengths) for batch in data.train_dataloader()} == {8}
    assert [len(batch.lengths) for batch in data.test_dataloader()] == [16, 16, 8]
    assert len(data.train_dataloader().dataset[BatchKey(0, 0, (1, 2, 3))].lengths) == 3


def test_the_figures_of_a_training_are_those_of_the_weights_that_it_leaves(configured, tmp_path):
    """The rate grows to where nothing is learned any more, so that the last epoch is not the best."""
    rates = ("training.epochs=6", "training.warmup_epochs=6", "training.ssm_base_lr=0.05", "model.clip_eigs=true")
    config = configured(*rates, "+training.schedule=constant")
    figures = stage_train.run(config, RunFolder(tmp_path, config))
    data = data_of(config)
    model = build_model(config, data)
    load_weights(tmp_path / "weights.safetensors", model)
    found = figures_of(predict(model, data.batches("validation")), data.class_names)
    assert figures["best"]["epoch"] < 6, "choose settings whose best epoch is an earlier one"
    assert found["accuracy"] == pytest.approx(figures["best"]["accuracy"])
    assert found["loss"] == pytest.approx(figures["best"]["loss"], rel=1e-5)
    assert (figures["training_samples"], len(data.val_dataset)) == (80, 20)
    assert figures["parameters"] == sum(np.prod(p.shape, dtype=int) for p in model.state_dict().values())
    json.dumps(figures, allow_nan=False)
