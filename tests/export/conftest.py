"""An onnxruntime session of one thread, and batches of samples."""

import numpy as np
import onnxruntime
import pytest
from pumice.hw_sim.random_programs import random_sample

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

    def states(self, batch):
        """Zero states for a step model."""
        dtypes = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}
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
