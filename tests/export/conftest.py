"""An onnxruntime session of one thread, batches of samples, and small lowered networks."""

import json
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.real_s5.classifier import RealS5Classifier
from pumice.models.real_s5.config import RealS5Config
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.models.spikings5.config import SpikingS5Config
from pumice.models.spikings5.network import SpikingS5
from pumice.program.clock import gaps
from pumice.program.random.programs import random_sample
from pumice.quantize.config import QuantizationConfig
from pumice.quantize.families import lower, prepare
from pumice.quantize.qat import calibrate
from pumice.train.data.inputs import Inputs, Timing

LEVELS = [
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
]


class Session:
    """Runs a model on named arrays and gives its outputs by name."""

    def __init__(self, model, level=LEVELS[-1]):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = level
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.names = [output.name for output in self.session.get_outputs()]

    def __call__(self, **inputs):
        return dict(zip(self.names, self.session.run(None, inputs), strict=True))

    def state(self, states, name):
        """One state of those that a step model takes or gives, (B, size)."""
        about = self.session.get_modelmeta().custom_metadata_map
        pack, start, size = json.loads(about["states"])[name]
        return states[f"state/{pack}"][:, start : start + size]

    def states(self, batch):
        """Zero states for a step model."""
        dtypes = {
            "tensor(uint8)": np.uint8,
            "tensor(int32)": np.int32,
            "tensor(int64)": np.int64,
            "tensor(float)": np.float32,
            "tensor(double)": np.float64,
        }
        return {
            value.name: np.zeros((batch, *value.shape[1:]), dtype=dtypes[value.type])
            for value in self.session.get_inputs()
            if value.name.startswith("state/")
        }


@pytest.fixture(scope="session")
def open_session():
    return Session


@pytest.fixture(params=LEVELS, ids=["none", "basic", "extended", "all"])
def level(request):
    return request.param


@pytest.fixture(scope="session")
def make_samples():
    """``make_samples(program, seed)``: a batch of uneven lengths, an empty sample and a single event among them."""

    def make(program, seed):
        shortest = 1 if program.pairing == "next" else 0
        return [random_sample(program, 10 * seed + row, events) for row, events in enumerate((13, shortest, 24, 1, 7))]

    return make


@pytest.fixture(scope="session")
def float_network():
    """``float_network(spiking=False, real=False, **settings)``: a float model with random norms, 6 samples, a batch."""

    def make(seed=0, spiking=False, real=False, **settings):
        generator = torch.Generator().manual_seed(seed)
        base = {"num_classes": 5, "vocab": 20, "d_model": 12, "d_ssm": 8, "block_size": 4, "stride": 4}
        kinds = (SpikingS5, SpikingS5Config) if spiking else (S5Classifier, S5Config)
        if real:
            kinds, base = (RealS5Classifier, RealS5Config), {key: base[key] for key in base if key != "block_size"}
        config = kinds[1](**{**base, **settings})
        model = kinds[0](config, generator).eval()
        with torch.no_grad():
            for name, tensor in (*model.named_parameters(), *model.named_buffers()):
                if "norm" in name or "bias" in name:
                    tensor.add_(torch.rand(tensor.shape, generator=generator) * 0.3)
        rng = np.random.default_rng(seed)
        lengths = (130, 70, 57, 64, 3, 1)
        samples = []
        for length in lengths:
            values = rng.integers(0, 20, length)
            if not config.token_input:
                values = rng.normal(size=(length, config.in_features)).astype(np.float32)
            samples.append((values, np.cumsum(rng.integers(0, 3, length) * rng.integers(0, 2500, length))))
        tokens = torch.zeros(len(lengths), max(lengths), *samples[0][0].shape[1:], dtype=torch.float32)
        dt, pool_dt = torch.zeros(tokens.shape[:2]), torch.zeros(tokens.shape[:2])
        for row, (values, times) in enumerate(samples):
            tokens[row, : len(times)] = torch.from_numpy(values)
            dt[row, : len(times)] = torch.from_numpy(gaps(times, 500) * 0.5)
            pool_dt[row, : len(times)] = torch.from_numpy(gaps(times, 1) / 1000)
        tokens = tokens.long() if config.token_input else tokens
        batch = Inputs(tokens, dt, torch.tensor(lengths), pool_dt)
        return SimpleNamespace(model=model, samples=samples, batch=batch)

    return make


@pytest.fixture(scope="session")
def lowered(float_network):
    """``lowered(...)``: the same with its program."""

    def make(*args, **settings):
        made = float_network(*args, **settings)
        qat = prepare(made.model, QuantizationConfig(max_dead_zone=1.0), Timing(tick_ms=0.5))
        made.program = lower(calibrate(qat, [made.batch]), tuple("abcde"))
        return made

    return make


@pytest.fixture(scope="session")
def lowered_network():
    """``lowered_network(cell, **widths)``: the program of two layers of neurons that spike, and 3 samples."""

    def make(cell, seed=0, **widths):
        sizes = {"num_classes": 5, "in_features": 4, "hidden": 9, "layers": 2, "q": 60.0, "tau_out": (1.0, 20.0)}
        network = AdLIFNetwork(AdLIFConfig(cell=cell, **sizes), torch.Generator().manual_seed(seed)).eval()
        with torch.no_grad():
            for layer, gain in zip(network.cells, (40, 120), strict=True):
                layer.input.weight.mul_(gain)
        rng = np.random.default_rng(seed)
        lengths = (60, 41, 1)
        inputs = rng.integers(-1, 2, (3, 60, 4)).astype(np.float32)
        batch = Inputs(torch.from_numpy(inputs), None, torch.tensor(lengths))
        settings = QuantizationConfig.from_mapping({"max_dead_zone": 1.0, "widths": widths})
        program = lower(calibrate(prepare(network, settings), [batch]), tuple("abcde"))
        samples = [(values[:length], 1000 * np.arange(length)) for values, length in zip(inputs, lengths, strict=True)]
        return SimpleNamespace(program=program, samples=samples)

    return make
