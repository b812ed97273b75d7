"""Programs whose decoder gives logits at every window, as ONNX models: exact, approximate, and the float model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pumice.export.onnx import build_sequence, build_step, run_onnx
from pumice.export.onnx.float import writer_of
from pumice.export.onnx.float.s5 import build_float_step
from pumice.export.onnx.qdq import QDQ
from pumice.export.onnx.session import Session, run_samples, run_step
from pumice.hw_sim.parity.compare import compare
from pumice.models.s5.classifier import S5Classifier
from pumice.models.s5.config import S5Config
from pumice.program import reference
from pumice.program.random.programs import random_program, random_sample

BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "onnx": lambda program, samples, trace: run_onnx(program, samples, trace, batch_size=3),
}
LENGTHS = (40, 0, 1, 7, 25)


@pytest.mark.parametrize("seed", range(6))
def test_integers(seed):
    """Every edge and state, the series, and running logits."""
    program = random_program(300 + seed, readout="steps")
    samples = [random_sample(program, row, length) for row, length in enumerate(LENGTHS)]
    result = compare(program, samples, BACKENDS, traced=len(samples))
    assert result.differing == 0, result.verdicts[0].first
    right = reference.run(program, samples)
    sequence, step = build_sequence(program), build_step(program)
    for found, trace in zip(run_samples(Session(sequence.SerializeToString()), program, samples), right, strict=True):
        np.testing.assert_array_equal(found["series"], trace.series)
    for found, trace in zip(run_step(Session(step.SerializeToString()), program, samples), right, strict=True):
        assert len(found) == len(trace.values["logits"])
        np.testing.assert_array_equal(found, trace.values["logits"])


def test_the_approximate_form_is_near(lowered):
    made = lowered(head="steps", stride=2)
    program, samples = made.program, made.samples
    session = Session(build_sequence(program, dialect=QDQ).SerializeToString())
    scale, compared = program["logits"].output.scale, 0
    for found, trace in zip(run_samples(session, program, samples), reference.run(program, samples), strict=True):
        assert found["series"].shape == trace.series.shape
        compared += trace.series.size
        if trace.series.size:
            difference = np.abs(found["series"] - trace.series * scale).max()
            assert difference <= 0.05 * np.abs(trace.series * scale).max()
    assert compared > 20


@pytest.mark.parametrize(("stride", "stages"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("inputs", [{"vocab": 11}, {"in_features": 4}])
def test_floats(stride, stages, inputs):
    generator = torch.Generator().manual_seed(1)
    settings = {"num_classes": 3, "d_model": 6, "d_ssm": 8, "block_size": 4, "head": "steps", "stride": stride}
    model = S5Classifier(S5Config(**settings, stages=stages, **inputs), generator).eval()
    tokens = torch.randint(11, (3, 23), generator=generator)
    values = tokens if "vocab" in inputs else torch.randn(3, 23, 4, generator=generator)
    dt, lengths = torch.rand(3, 23, generator=generator), torch.tensor([23, 9, 2])
    writer, names = writer_of(model), ["a", "b", "c"]
    with torch.no_grad():
        session = Session(writer.build(model, names).SerializeToString())
        found, right = writer.outputs(session, model, values, dt, lengths, dt)
        assert len(right) == sum(length // stride**stages for length in (23, 9, 2))
        np.testing.assert_allclose(found, right, atol=1e-5)
        step, state = Session(build_float_step(model, names).SerializeToString()), model.init_state(3)
        states = step.states(3)
        for k in range(9):
            valid = torch.tensor([k < length for length in (23, 9, 2)])
            _, _, state = model.step(values[:, k], dt[:, k], state, valid=valid)
            name = "token" if "vocab" in inputs else "value"
            out = step.run({name: values[:, k].numpy(), "dt": dt[:, k].numpy(), "valid": valid.numpy()} | states)
            states = {name: out["next/" + name.removeprefix("state/")] for name in states}
            np.testing.assert_allclose(out["logits"], model.readout(state).numpy(), atol=1e-5)
