"""Small random models, samples for them, and their QAT models."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.models.spikings5.config import SpikingS5Config
from pumice.models.spikings5.network import SpikingS5
from pumice.program import Format
from pumice.program.clock import gaps
from pumice.program.nodes import Add, Multiply
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.distillation.judge import Judge
from pumice.quantize.families import prepare
from pumice.quantize.qat import calibrate, fine_tune
from pumice.train.data.inputs import Inputs, Timing
from pumice.train.data.sequences.batch import IGNORED, BlockBatch
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings, read_section

TICK_US = 500
BASE = {"num_classes": 5, "vocab": 20, "d_model": 8, "d_ssm": 8, "block_size": 4, "stride": 4}


def make_model(seed=0, spiking=False, real=False, **settings):
    """A float model with random norms and biases."""
    generator = torch.Generator().manual_seed(seed)
    if real:
        base = {name: value for name, value in BASE.items() if name != "block_size"}
        model = RealS5Classifier(RealS5Config(**{**base, **settings}), generator).eval()
    elif spiking:
        model = SpikingS5(SpikingS5Config(**{**BASE, **settings}), generator).eval()
    else:
        model = S5Classifier(S5Config(**{**BASE, **settings}), generator).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name or (real and name.endswith(".D")):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
            if name.endswith("ln_vth"):
                parameter.uniform_(-1.5, 0.5, generator=generator)
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
    """The padded batch that the data module would make of samples."""
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
    return Inputs(tokens, dt, torch.tensor(lengths), pool_dt)


@pytest.fixture
def build():
    """``build(settings={}, pairing=..., **quantization)``: model, samples, batch and calibrated QAT model."""

    def make(settings=None, *, pairing="causal", seed=0, double=False, lengths=None, **quantization):
        model = make_model(seed, **(settings or {}))
        lengths = lengths or ((70, 57, 3, 2) if pairing == "next" else (70, 57, 3, 1))
        samples = make_samples(model, lengths, seed)
        batch = make_batch(samples, pairing)
        if double:
            model, batch = model.double(), Inputs(*(t.double() if t.is_floating_point() else t for t in batch))
        timing = Timing(tick_ms=TICK_US / 1000, pairing=pairing)
        qat = calibrate(prepare(model, QuantizationConfig.from_mapping(quantization), timing), [batch])
        return SimpleNamespace(model=model, samples=samples, batch=batch, qat=qat.eval(), pairing=pairing)

    return make


@pytest.fixture
def exact_products():
    """``exact_products(program)``: the program with gated products that are not rounded, as lowering makes them."""

    def make(program):
        nodes = {}
        for node in program:
            if isinstance(node, Multiply):
                first, second = node.formats
                node = replace(node, output=Format(first.width + second.width, True, first.frac + second.frac))
            elif isinstance(node, Add):
                node = replace(node, formats=tuple(nodes[edge].output for edge in node.inputs))
            nodes[node.name] = node
        return replace(program, nodes=tuple(nodes.values()))

    return make


SPIKING = {"num_classes": 5, "in_features": 4, "hidden": 9, "dropout": 0.0, "tau_out": (1.0, 20.0)}
INPUTS = {
    "spikes": lambda rng, shape: rng.integers(0, 2, shape),
    "signs": lambda rng, shape: rng.integers(-1, 2, shape),
    "counts": lambda rng, shape: rng.poisson(0.6, shape),
    "real": lambda rng, shape: rng.normal(size=shape) * 1.3,
}


def make_spiking(seed=0, gain=16.0, **settings):
    """A float network whose neurons spike, with random biases."""
    generator = torch.Generator().manual_seed(seed)
    config = {**SPIKING, "q": 60.0 if settings.get("cell") == "ef-adlif" else 120.0, **settings}
    network = AdLIFNetwork(AdLIFConfig(**config), generator).eval()
    with torch.no_grad():
        for number, layer in enumerate(network.cells):
            layer.input.weight.mul_(gain * (1 + 2 * number))  # spikes are rarer than inputs
            layer.input.bias.normal_(generator=generator).mul_(0.3)
        network.readout.linear.bias.normal_(generator=generator)
    return network


def make_sequences(network, kind="signs", lengths=(60, 41, 1), seed=0):
    """The padded batch of sequences with blocks 0, 1 and 2; the block 0 is ignored."""
    rng = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths), network.config.in_features)
    lengths = torch.tensor(lengths)
    inputs = torch.from_numpy(INPUTS[kind](rng, shape).astype(np.float32))
    real = torch.arange(shape[1]) < lengths.unsqueeze(1)
    blocks = torch.where(real, (torch.arange(shape[1]) + 10) // 20 % 3, 0)
    targets = torch.from_numpy(rng.integers(0, network.config.num_classes, (len(lengths), 3)))
    targets[:, 0] = IGNORED
    return BlockBatch(inputs * real.unsqueeze(2), blocks, targets, lengths)


@pytest.fixture
def build_spiking():
    """``build_spiking(settings={}, kind=..., **quantization)``: model, batch and calibrated QAT model."""

    def make(settings=None, *, kind="signs", seed=0, double=False, lengths=(60, 41, 1), **quantization):
        model = make_spiking(seed, **(settings or {}))
        batch = make_sequences(model, kind, lengths, seed)
        model = model.double() if double else model
        batch = batch._replace(inputs=batch.inputs.double()) if double else batch
        qat = prepare(model, QuantizationConfig.from_mapping(quantization)).eval()
        calibrate(qat, [batch.padded()])
        return SimpleNamespace(model=model, batch=batch, qat=qat)

    return make


@pytest.fixture(scope="session")
def compose_config():
    """``compose_config(overrides)``: the configuration of a run as plain data, as the stages get it."""

    def make(overrides):
        with initialize_config_module("pumice.configs", version_base=None):
            composed = compose("config", overrides=overrides)
        plain = OmegaConf.to_container(composed, resolve=False)
        return {key: value for key, value in plain.items() if key not in ("run_dir", "redo")}

    return make


@pytest.fixture
def tune(tmp_path):
    """``tune(qat, data, config, tuning, folder)``: fine-tune without logs; ``folder`` below tmp_path."""

    def run(qat, data, config, tuning, folder="tuned", **recipe):
        training = replace(read_section(TrainingSettings, config, "training"), **recipe)
        logs = LoggingSettings(csv=False, tensorboard=False, progress=False)
        system = SystemSettings()
        folder, judge = tmp_path / folder, Judge.of_task(data)
        return fine_tune(qat, data, judge, folder, tuning, training=training, system=system, logs=logs, seed=0, info={})

    return run


@pytest.fixture
def check_interruption(tune, monkeypatch):
    """``check_interruption(calibrated, config, tuning)``: cut-off fine-tuning goes on to the same weights.

    ``calibrated()`` gives a fresh calibrated QAT model and its data.
    """

    def check(calibrated, config, tuning):
        kind = type(calibrated()[0])
        forward = kind.forward

        def tuned(folder, stop_at=None):
            qat, data = calibrated()
            calls = []

            def counted(self, *batch):
                calls.append(torch.is_grad_enabled())
                if len(calls) == stop_at:
                    raise RuntimeError("pulled the plug")
                return forward(self, *batch)

            monkeypatch.setattr(kind, "forward", counted)
            tune(qat, data, config, tuning, folder, checkpoint_every_steps=2)
            return qat.state_dict(), sum(calls)

        whole, all_batches = tuned("whole")
        with pytest.raises(RuntimeError, match="pulled the plug"):
            tuned("cut", stop_at=all_batches - 3)
        resumed, batches = tuned("cut")
        assert batches < all_batches
        assert whole.keys() == resumed.keys()
        for name, tensor in whole.items():
            assert torch.equal(tensor, resumed[name]), name

    return check
