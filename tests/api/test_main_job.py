"""The main job by the front door, the same arguments for every family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pumice
import pytest
import torch
from pumice.api.candidates import predictions
from pumice.api.presets import preset
from pumice.api.quantize import CALIBRATED, TUNED, Tuning
from pumice.errors import PumiceError
from pumice.program import digest, reference
from pumice.quantize.config import METHODS, QuantizationConfig
from pumice.train.settings import TrainingSettings, read_section

CLASSES = 4
EPOCH = {"qat": {"epochs": 1}}


def test_a_program_comes_with_its_frozen_model_and_what_it_cost(made):
    done = made.quantized
    assert done.chosen == CALIBRATED
    assert done.program.class_names == tuple("0123")
    assert done.program.provenance["method"] == CALIBRATED
    assert [entry["layer"] for entry in done.report]
    assert done.table().row_count == len(done.report)
    settings = QuantizationConfig.from_mapping(preset("quantize", "w8a8"))
    (method,) = [method for method in METHODS if method in done.choice.chosen]
    assert done.qat.config == replace(settings, calibration=replace(settings.calibration, method=method))


def test_what_no_program_can_hold_is_told_before_fine_tuning(fresh, tmp_path):
    recipe = read_section(TrainingSettings, {"training": preset("training", "spoken-digits")}, "training")
    batches = pumice.make_batches(fresh.model, fresh.samples, fresh.labels)
    with pytest.raises(PumiceError, match="dead zone"):
        pumice.quantize(
            fresh.model, batches, {**EPOCH, "max_dead_zone": 1e-9}, fine_tune=Tuning(recipe=recipe, folder=tmp_path)
        )
    assert not list(tmp_path.iterdir())


def test_the_simulator_gives_what_the_reference_gives(made):
    traces = pumice.simulate(made.program, made.samples)
    expected = reference.run(made.program, made.samples)
    for mine, right in zip(traces, expected, strict=True):
        np.testing.assert_array_equal(mine.logits, right.logits)
        assert mine.values == {}
    traced = pumice.simulate(made.program, made.samples[:2], trace=True, stepwise=True)
    assert set(traced[0].values) == {node.name for node in made.program}


def test_a_stream_gives_what_whole_samples_give(made):
    stream = pumice.Simulator(made.program)
    for (values, times), trace in zip(made.samples[:3], pumice.simulate(made.program, made.samples[:3]), strict=True):
        stream.reset()
        for value, time in zip(values, times, strict=True):
            logits, _ = stream.step(value, int(time))
        np.testing.assert_array_equal(logits, trace.logits)


def test_torch_batches_are_the_same_samples(made):
    """Times within a batch count from its first event, and a program reads no more of them."""
    expected = pumice.simulate(made.program, made.samples)
    for labels in (made.labels, None):
        batches = pumice.make_batches(made.model, made.samples, labels, batch_size=5)
        assert [len(batch.lengths) for batch in batches] == [5, 5, 2]
        for mine, right in zip(pumice.simulate(made.program, batches), expected, strict=True):
            np.testing.assert_array_equal(mine.logits, right.logits)
    tensors = [(torch.from_numpy(values), torch.from_numpy(times)) for values, times in made.samples]
    lists = [(values.tolist(), times.tolist()) for values, times in made.samples]
    for given in (tensors, lists):
        for mine, right in zip(pumice.simulate(made.program, given), expected, strict=True):
            np.testing.assert_array_equal(mine.logits, right.logits)


def test_calibration_is_the_same_from_samples_and_from_batches(made):
    for given in (
        pumice.make_batches(made.model, made.samples, made.labels),
        pumice.make_batches(made.model, made.samples),
        iter(pumice.make_batches(made.model, made.samples, batch_size=1).batches) if made.family == "s5" else None,
    ):
        if given is not None:
            program = pumice.quantize(made.model, given, provenance={}).program
            mine = pumice.quantize(made.model, made.samples, provenance={}).program
            assert digest(program) == digest(mine)


def test_backends_agree(made):
    found = pumice.compare(
        made.program,
        made.samples,
        ["reference", "twin", "run", "step", "onnx"],
        frozen=made.quantized.frozen,
        shares={"onnx": [3, 1]},
    )
    assert found.differing == 0
    assert found.skipped == {}
    assert list(found.verdicts) == ["reference", "twin", "run", "step", "onnx"]
    assert [len(traces) for traces in found.traces.values()] == [12, 12, 12, 12, 2]
    assert found.verdicts["run"].values > 12 * CLASSES
    assert found.table().row_count == 5


def test_a_backend_of_ones_own_is_compared_and_a_wrong_unit_found(made):
    def wrong(program, samples, trace):
        traces = reference.run(program, samples, trace=trace)
        traces[-1].logits[2] += 1
        return traces

    found = pumice.compare(made.program, made.samples, {"reference": reference_backend, "mine": wrong}, traced=1)
    assert found.differing == 1 if made.family == "s5" else found.differing >= 1
    first = found.verdicts["mine"].first
    assert (first.node, first.channel) == (made.program.logits, 2)


def reference_backend(program, samples, trace):
    return reference.run(program, samples, trace=trace)


def test_counts_and_energy(made):
    costs = pumice.count(made.program, made.samples[:3])
    assert costs.integer.samples == costs.floating.samples == 3
    assert costs.integer.events == sum(len(times) for _, times in made.samples[:3])
    assert set(costs.energy) == {"integer", "float32"}
    assert set(pumice.count(made.program, made.samples[:1], hardware="loihi-1").energy) == {"integer"}
    assert (costs.neurobench is None) == (made.family == "s5")


def test_exports(made, tmp_path):
    for form in ("sequence", "step", "qdq"):
        path = pumice.export_onnx(made.program, tmp_path / "onnx" / f"{form}.onnx", form=form)
        onnx.checker.check_model(onnx.load(path))
    floats = onnx.load(pumice.export_onnx(made.model, tmp_path / "float.onnx"))
    assert '["0", "1", "2", "3"]' in {entry.value for entry in floats.metadata_props}
    folder = pumice.export_lava(made.program, tmp_path / "lava", made.samples[:1])
    assert {"program.npz", "run.py", "expected.npz"} <= {entry.name for entry in folder.iterdir()}
    with pytest.raises(pumice.PumiceError, match="cannot write the bundle"):
        pumice.export_lava(made.program, tmp_path / "lava", made.samples[:1])
    pumice.export_lava(made.program, tmp_path / "lava", made.samples[:2], replace=True)
    assert len(np.load(tmp_path / "lava" / "expected.npz")["logits"]) == 2
    folder = pumice.export_c(made.program, tmp_path / "c", made.samples[:1], name="mine")
    assert {"mine.c", "mine.h", "known.c"} <= {entry.name for entry in folder.iterdir()}
    with pytest.raises(pumice.PumiceError, match="cannot write"):
        pumice.export_c(made.program, tmp_path / "c")
    pumice.export_c(made.program, tmp_path / "c", replace=True)
    assert not (folder / "mine.c").exists()


def test_programs_are_saved_and_loaded(made, tmp_path):
    assert pumice.save(made.program, tmp_path / "a" / "program.npz") == digest(made.program)
    assert digest(pumice.load(tmp_path / "a" / "program.npz")) == digest(made.program)
    assert made.quantized.save(tmp_path / "b") == digest(pumice.load(tmp_path / "b" / "program.npz"))
    with pytest.raises(pumice.PumiceError, match="does not exist"):
        pumice.load(tmp_path / "nowhere.npz")


def test_fine_tuning_keeps_the_better_by_validation(fresh):
    made, family = fresh, fresh.family
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    batches = pumice.make_batches(made.model, made.samples, made.labels, batch_size=4)
    done = pumice.quantize(made.model, batches, EPOCH, fine_tune=True, validation=batches[:2], class_names="abcd")
    assert done.program.class_names == tuple("abcd")
    assert set(done.candidates) == set(done.judged) == {CALIBRATED, TUNED}
    assert done.best["epoch"] == 1
    far = {name: kl(found, predictions(made.model, batches[:2])) for name, found in done.judged.items()}
    assert done.chosen == min(far, key=far.get)
    told = {one["candidate"]: one["kl"] for one in done.choice.candidates}
    # two calibrations, and what was tuned; without the mean error of the logits, where a bias can take it
    assert len(told) == (5 if family == "s5" else 3)
    assert min(told.values()) == told[done.choice.chosen] == pytest.approx(far[done.chosen], rel=1e-6)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.model.state_dict().items())
    again = predictions(done.frozen, batches)
    expected = pumice.simulate(done.program, made.samples)
    if family == "s5":  # the aggregate of a network of neurons is the host's, over its series
        scale = done.program[done.program.logits].output.scale
        np.testing.assert_array_equal(again.logits, np.stack([trace.logits for trace in expected]) * scale)
    tuned = pumice.quantize(made.model, batches, EPOCH, fine_tune=True, validation=batches[:2], class_names="abcd")
    assert digest(tuned.program) == digest(done.program)


def kl(found, floats):
    """Mean divergence of probabilities, in plain numpy."""
    ours, theirs = (np.exp(x - x.max(1, keepdims=True)) for x in (found.logits, floats.logits))
    ours, theirs = (p / p.sum(1, keepdims=True) for p in (ours, theirs))
    return float((theirs * np.log(theirs / ours)).sum(1).mean())


def test_loaders_that_give_inputs_and_classes(fresh_neurons):
    made = fresh_neurons
    length = min(len(values) for values, _ in made.samples)
    x = torch.stack([torch.from_numpy(values[:length]) for values, _ in made.samples])
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.tensor(made.labels)), batch_size=4)
    done = pumice.quantize(made.model, loader, EPOCH, fine_tune="adlif-spoken-digits")
    assert done.best["epoch"] == 1
    assert set(done.candidates) == {CALIBRATED, TUNED}
    traces = pumice.simulate(done.program, x.numpy())  # regular steps: no times are needed
    assert [len(trace.series) for trace in traces] == [length] * 12


def test_models_are_built_from_names_mappings_and_changes(fresh):
    family, inputs, sizes = fresh.family, fresh.inputs, fresh.sizes
    one = pumice.build_model(f"{family}/tiny", num_classes=3, seed=5, **inputs, **sizes)
    settings = {**preset("model", f"{family}/tiny"), **sizes}
    two = pumice.build_model(settings, num_classes=np.int64(3), seed=5, **inputs)
    other = pumice.build_model(settings, num_classes=3, seed=6, **inputs)
    states = [model.state_dict() for model in (one, two, other)]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert not all(torch.equal(tensor, states[2][name]) for name, tensor in states[0].items())


def test_data_know_what_a_model_needs():
    for task, family in (("spoken-digits", "s5"), ("spoken-digits-binned", "adlif")):
        data = pumice.load_data(task, batch_size=8)
        model = pumice.build_model(f"{family}/tiny", num_classes=data.num_classes, **data.model_inputs)
        assert model.config.num_classes == 20
    labels = data.labels("test")
    assert labels.shape == (400,)
    values, times = data.program_samples("test")[7]
    assert values.shape == (len(times), 140)
    assert data.class_names[labels[7]]
