"""Everything else than what the front door takes is one sentence that says what is wrong."""

from __future__ import annotations

import re

import numpy as np
import pumice
import pytest
import torch
from pumice.train.data.inputs import Inputs

TOKENS, TIMES = np.arange(5), 1000 * np.arange(5)


def refused(match, function, *arguments, **options):
    with pytest.raises(pumice.PumiceError, match=match) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ("program.npz", "samples cannot be a str"),
        ({"values": TOKENS}, "samples cannot be a dict"),
        (None, "samples cannot be None"),
        (3, "samples cannot be an int"),
        ([], "no samples are given"),
        ([TOKENS], "sample 0 is a ndarray and no pair"),
        ((TOKENS, TIMES), "sample 0 is a ndarray and no pair"),
        ([(TOKENS, TIMES), (TOKENS, TIMES, TIMES)], "sample 1 is a tuple and no pair"),
        ([(TOKENS, TIMES[:-1])], "sample 0: values have shape"),
        ([(TOKENS, TIMES[::-1])], "sample 0: event 1 lies 1000 us before event 0"),
        ([(TOKENS, TIMES / 1000)], "sample 0: times are float64; give integers"),
        ([(TOKENS + 0.5, TIMES)], "sample 0: tokens are float64; give integers"),
        ([(TOKENS + 16, TIMES)], r"sample 0, event 4: 20 lies outside \[0, 20\)"),
        ([([1, [2, 3]], [0, 1])], "sample 0: values are"),
        ([(["a", "b"], [0, 1])], "sample 0: tokens are"),
        ([(np.ma.array(TOKENS, mask=TOKENS == 2), TIMES)], "sample 0: tokens are masked at entry 2"),
        (
            [(TOKENS, TIMES.astype(np.uint64) + np.uint64(2**63))],
            "sample 0: times reach 9223372036854779808 at entry 4",
        ),
    ],
)
@pytest.mark.parametrize("call", ["simulate", "compare", "count", "export_lava"])
def test_samples_of_events(made, tmp_path, samples, match, call):
    if made.family != "s5":
        pytest.skip("of events")
    arguments = [made.program, samples] if call != "export_lava" else [made.program, tmp_path / "lava", samples]
    refused(match, getattr(pumice, call), *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ([TOKENS], "sample 0 is a ndarray and no pair"),
        ([(np.zeros((5, 4)), TIMES)], "sample 0: values have shape"),
        ([(np.full((5, 5), np.nan), 4000 * np.arange(5))], "sample 0, event 0: .* holds NaN or infinity"),
        ([(np.zeros((5, 5), complex), 4000 * np.arange(5))], "sample 0: values are complex128; give real numbers"),
        ([(np.zeros((2, 5)), [0, 12000])], "sample 0: "),
    ],
)
def test_samples_of_time_steps(made, samples, match):
    if made.family == "adlif":
        refused(match, pumice.simulate, made.program, samples)


def test_batches_that_a_model_cannot_read(made):
    good = pumice.make_batches(made.model, made.samples)[0]
    quantize = pumice.quantize
    refused("batches cannot be a str", quantize, made.model, "data/")
    refused("batches cannot be None", quantize, made.model, None)
    refused("no batches are given, but calibration needs some", quantize, made.model, [])
    refused("batch 1 is a dict", quantize, made.model, [good, {"values": 1}])
    refused("batch 0: lengths have to be", quantize, made.model, [good._replace(lengths=good.lengths[:2])])
    refused("batch 0: lengths have to be", quantize, made.model, [good._replace(lengths=good.lengths + 99)])
    wrong = good.values.float() if made.family == "s5" else good.values.long()
    refused("batch 0: its values are .* but the model reads", quantize, made.model, [good._replace(values=wrong)])
    refused("batch 0: its values are .* but the model reads", quantize, made.model, [good._replace(values=wrong[0])])
    if made.family == "s5":
        refused("needs intervals dt", quantize, made.model, [good._replace(dt=None)])
        refused(r"tokens lie outside \[0, 20\)", quantize, made.model, [good._replace(values=good.values + 10)])
        refused("spoken-digits-binned has in_features=140 and not None", quantize, made.model, binned())
    empty = Inputs(good.values, good.dt, torch.zeros_like(good.lengths), good.pool_dt)
    refused("calibration saw no", quantize, made.model, [empty])


def binned():
    return pumice.load_data("spoken-digits-binned")


def test_plain_samples_that_make_no_batch(made):
    make, model, (values, times) = pumice.make_batches, made.model, made.samples[0]
    refused("samples cannot be", make, model, {})
    refused("samples cannot be", make, model, [])
    refused("sample 0 is a ndarray and no pair", make, model, [values])
    refused("sample 1: values have shape", make, model, [(values, times), (values[:-1], times)])
    refused("sample 0: times are float64", make, model, [(values, times / 2)])
    refused("batch_size=0", make, model, made.samples, batch_size=0)
    refused("labels have shape", make, model, made.samples, [0, 1])
    refused("labels 0 to 4 lie outside", make, model, made.samples, [0] * 11 + [4])
    refused("labels are float64; give integers", make, model, made.samples, np.zeros(12))
    if made.family == "adlif":
        refused("sample 0: steps of 4000 us and 1000 us", make, model, [(values[:3], [0, 4000, 5000])])
        refused("sample 0: its values hold NaN", make, model, [(values * np.nan, times)])
    else:
        refused("tick_ms=0.0001", make, model, made.samples, tick_ms=0.0001)
        refused(r"sample 0: tokens .* lie outside \[0, 20\)", make, model, [(values + 9, times)])


def test_fine_tuning_needs_labels(made):
    config = {"qat": {"loss": "labels"}}
    refused("needs labelled batches", pumice.quantize, made.model, made.samples, config, fine_tune=True)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ("w3a8", "there is no quantize 'w3a8'; choose one of loihi, w2a8, w4a4, w4a8, w4a8-all, w8a8"),
        (8, "a quantize is a name from configs/quantize or a mapping of settings, not an int"),
        ({"bits": 4}, "quantize has no setting 'bits'"),
        ({"widths": {"state": 99}}, "the width state=99 is impossible"),
        ({"layers": {"nowhere": {"state": 20}}}, "quantize.layers names nowhere, which the model lacks"),
    ],
)
def test_settings(made, config, match):
    refused(match, pumice.quantize, made.model, made.samples, config)


def test_models():
    build = pumice.build_model
    refused("there is no model 's5/huge'; choose one of .*s5/tiny", build, "s5/huge", num_classes=3, vocab=5)
    refused("has no setting 'wings'", build, "s5/tiny", num_classes=3, vocab=5, wings=2)
    refused("model.family=None is unknown", build, {}, num_classes=3, vocab=5)
    refused("is built with vocab or in_features", build, "s5/tiny", num_classes=3)
    refused("is built with vocab or in_features", build, "s5/tiny", num_classes=3, vocab=5, in_features=5)
    refused("is built with in_features, .* but vocab is given", build, "adlif/tiny", num_classes=3, vocab=5)
    refused("num_classes has to be a whole number, not a float", build, "s5/tiny", num_classes=3.0, vocab=5)
    refused("there is no task 'mnist'", pumice.load_data, "mnist")
    refused("task.wings is unknown", pumice.load_data, "spoken-digits", wings=2)
    refused("does not take models of type Linear", pumice.quantize, torch.nn.Linear(2, 2), [])


def test_backends_and_exports(made, tmp_path):
    compare, program, few = pumice.compare, made.program, made.samples[:1]
    refused("names no two different backends", compare, program, few, "run")
    refused("names no two different backends", compare, program, few, ["run", "run"])
    refused("backend fly is unknown; choose some of: reference, twin", compare, program, few, ["run", "fly"])
    refused("backend 'twin' runs the frozen model; give it as frozen=", compare, program, few, ["run", "twin"])
    refused("there is no hardware 'abacus'", pumice.count, program, few, hardware="abacus")
    refused("hardware: ", pumice.count, program, few, hardware={"style": "arithmetic"})
    refused("form=jpeg is unknown", pumice.export_onnx, program, tmp_path / "a.onnx", form="jpeg")
    refused("a str cannot be written as ONNX", pumice.export_onnx, "program.npz", tmp_path / "a.onnx")
    refused("a Linear has no float form", pumice.export_onnx, linear(), tmp_path / "a.onnx")
    refused("LoihiLIF|Loihi", pumice.export_netx, program, tmp_path / "a.net")
    assert not list(tmp_path.iterdir())


def linear():
    layer = torch.nn.Linear(2, 2)
    layer.config = type("Config", (), {"num_classes": 2})
    return layer


def test_runs_and_weights(tmp_path):
    refused("is no folder", pumice.open_run, tmp_path / "nowhere")
    refused("holds no stage of a run", pumice.open_run, tmp_path)
    refused("does not exist; train first", pumice.load_model, tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"no weights")
    refused("cannot be read as weights", pumice.load_model, tmp_path)
    assert re.match(r"0\.\d", pumice.__version__)


def test_steps_left_out_may_be_filled_in(made):
    if made.family == "s5":
        pytest.skip("of steps")
    rows, times = np.zeros((9, 5)), 4000 * np.arange(9)
    rows[[0, 5, 8]] = 1.0
    kept = [0, 5, 8]
    (whole,) = pumice.simulate(made.program, [(rows, times)])
    (filled,) = pumice.simulate(made.program, [(rows[kept], times[kept])], empty_steps="fill")
    assert np.array_equal(whole.series, filled.series)
    refused("event 1 comes 5 steps of 4000 us after", pumice.simulate, made.program, [(rows[kept], times[kept])])
