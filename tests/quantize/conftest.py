"""Small random models, samples for them, and their quantized twins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.program.clock import gaps
from pumice.quantize.twin.model import calibrate, convert

TICK_US = 500
BASE = {"num_classes": 5, "vocab": 20, "d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 4}


def make_model(seed=0, **settings):
    """A float model with random norms and biases."""
    generator = torch.Generator().manual_seed(seed)
    model = S5Classifier(S5Config(**{**BASE, **settings}), generator).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(generator=generator)
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 2.0, generator=generator)
    return model


def make_samples(model, lengths=(70, 57, 3, 1), seed=0):
    """(tokens or vectors, times in us) a sample; many events share a tick, some gaps are long."""
    rng = np.random.default_rng(seed)
    samples = []
    for length in lengths:
        steps = rng.integers(0, 3, length) * rng.integers(0, 2500, length)
        steps[rng.random(length) < 0.03] = 900_000
        config = model.config
        if config.token_input:
            values = rng.integers(0, config.vocab, length)
        else:
            values = rng.normal(size=(length, config.in_features)).astype(np.float32)
        samples.append((values, np.cumsum(steps).astype(np.int64) + 12345))
    return samples


def make_batch(samples, pairing="causal"):
    """The padded batch (tokens, dt, lengths, pool_dt) that the data module would make of samples."""
    dropped = int(pairing == "next")
    lengths = [len(times) - dropped for _, times in samples]
    longest = max(lengths)

    def pad(arrays, fill):
        shape = (len(arrays), longest, *arrays[0].shape[1:])
        padded = np.full(shape, fill, arrays[0].dtype)
        for row, array in zip(padded, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(padded)

    values = [value[: len(value) - dropped] for value, _ in samples]
    tokens = pad(values, -1 if values[0].ndim == 1 else 0)
    dt = pad([gaps(times, TICK_US, pairing) * (TICK_US / 1000) for _, times in samples], 0.0).float()
    pool_dt = pad([gaps(times, 1, pairing) / 1000 for _, times in samples], 0.0).float()
    return tokens, dt, torch.tensor(lengths), pool_dt


@pytest.fixture
def build():
    """``build(settings={}, pairing=..., **quantization)``: model, samples, batch and calibrated twin."""

    def make(settings=None, *, pairing="causal", seed=0, double=False, lengths=None, **quantization):
        model = make_model(seed, **(settings or {}))
        lengths = lengths or ((70, 57, 3, 2) if pairing == "next" else (70, 57, 3, 1))
        samples = make_samples(model, lengths, seed)
        batch = make_batch(samples, pairing)
        if double:
            model, batch = model.double(), tuple(t.double() if t.is_floating_point() else t for t in batch)
        twin = convert(model, QuantizationConfig.from_mapping(quantization), TICK_US / 1000)
        calibrate(twin, [batch])
        return SimpleNamespace(model=model, samples=samples, batch=batch, twin=twin.eval(), pairing=pairing)

    return make
