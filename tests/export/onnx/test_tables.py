"""Tables over tokens: what the reference gives for each token, and no difference without them."""

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.onnx import build_sequence, build_step, tables
from pumice.export.onnx.feed import feed
from pumice.export.onnx.session import Session, run_sequence, run_step
from pumice.program import reference
from pumice.program.random.programs import random_program


@pytest.mark.parametrize("norm", ["layer", "batch", "affine"])
def test_tables_hold_the_edges_of_single_events(norm):
    program = random_program(11, value="token", norm=norm, pairing="causal")
    found = tables.token_tables(program)
    samples = [(np.array([token]), np.array([0])) for token in range(program.value_input.vocab)]
    traces = reference.run(program, samples)
    edges = [name for name in found if not name.endswith(tables.DRIVE)]
    assert any(name.endswith("norm") for name in edges)
    assert any(name.endswith(tables.DRIVE) for name in found)
    for name in edges:
        np.testing.assert_array_equal(found[name], np.concatenate([trace.values[name] for trace in traces]))


def test_dense_input_has_none():
    assert tables.token_tables(random_program(11, value="dense")) == {}


@pytest.mark.parametrize("seed", range(3))
def test_large_tables_are_left_out_and_nothing_changes(monkeypatch, make_samples, seed):
    program = random_program(60 + seed, value="token")
    samples = make_samples(program, seed)
    with_tables = build_sequence(program)
    monkeypatch.setattr(tables, "LARGEST", 10)
    assert tables.token_tables(program) == {}
    without = build_sequence(program)
    assert len(str(without)) != len(str(with_tables))
    expected = np.stack([trace.logits for trace in reference.run(program, samples)])
    for model in (with_tables, without):
        session = Session(model.SerializeToString(), threads=1)
        np.testing.assert_array_equal(run_sequence(session, program, samples, batch_size=2), expected)
        np.testing.assert_array_equal(session.run(feed(program, samples))["logits"], expected)


def test_running_logits_of_uneven_streams(make_samples):
    program = random_program(71, pairing="causal")
    samples = make_samples(program, 4)
    running = run_step(Session(build_step(program).SerializeToString(), threads=1), program, samples)
    for found, trace in zip(running, reference.run(program, samples), strict=True):
        np.testing.assert_array_equal(found, trace.values[program.logits])


def test_a_file_that_is_no_model(tmp_path):
    with pytest.raises(PumiceError, match="does not exist; write it with pumice export"):
        Session(tmp_path / "step.onnx")
    content = bytearray(build_sequence(random_program(2)).SerializeToString())
    for name, damaged in {"cut": content[: len(content) // 2], "text": b"no model", "empty": b""}.items():
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(PumiceError, match="cannot be opened by onnxruntime"):
            Session(tmp_path / name)
