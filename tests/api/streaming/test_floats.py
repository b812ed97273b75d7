"""A float model on a stream gives the logits of whole samples, up to the order of sums."""

import numpy as np
import pumice
import pytest
import torch
from pumice.api.streaming.float_engines import StepEngine
from pumice.errors import PumiceError
from pumice.train.data.inputs import Timing

TASK = {"name": "arrays", "source": "event-folder", "num_classes": 3, "sensor": [20], "tick_ms": 0.5}
EVENTS = {
    "s5/tiny": {"d_model": 8, "d_ssm": 8, "stride": 3},
    "spikings5/tiny": {"d_model": 8, "d_ssm": 8, "stride": 3},
    "real-s5/tiny": {"d_model": 8, "d_ssm": 8, "stride": 2},
}
STEPS = {"adlif/tiny": {"hidden": 12}, "spikingssm/smnist": {"d_model": 8, "layers": 2}}
LENGTH = 80


def events(seed=0):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.integers(0, 2000, LENGTH)), rng.integers(0, 20, LENGTH)


def in_blocks(rows, size):
    return [tuple(part[at : at + size] for part in rows) for at in range(0, LENGTH, size)]


@pytest.mark.parametrize("pairing", ["causal", "next"])
@pytest.mark.parametrize("name", EVENTS)
def test_models_of_events(name, pairing, tmp_path):
    model = pumice.build_model(name, num_classes=3, vocab=20, **EVENTS[name]).double().eval()
    t, x = events()
    reader = pumice.build_model("s5/tiny", num_classes=3, vocab=20)  # batches of events are the same for all of them
    batch = pumice.make_batches(reader, [(x, t)], [0], pairing=pairing)[0]
    with torch.no_grad():
        whole = batch.apply(model)[0][0].double().numpy()
    task = TASK | {"pairing": pairing}
    for size in (1, 7, LENGTH):
        found = list(pumice.stream(model, in_blocks((t, x), size), task=task, every=33))
        assert [decision.events for decision in found] == [33, 66, LENGTH]
        np.testing.assert_allclose(found[-1].logits, whole, atol=1e-5)
        assert not found[-1].incomplete
    first = pumice.stream(model, task=task)
    list(first.take((t[:31], x[:31])))
    first.save(tmp_path / "state.npz")
    second = pumice.stream(model, task=task)
    second.restore(tmp_path / "state.npz")
    (last,) = [*second.take((t[31:], x[31:])), *second.finish()]
    np.testing.assert_allclose(last.logits, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "settings"), [*STEPS.items(), ("adlif/tiny", STEPS["adlif/tiny"] | {"refractory": 5})]
)
def test_networks_of_time_steps(name, settings, tmp_path):
    model = pumice.build_model(name, num_classes=3, in_features=5, **settings).double().eval()
    if name.startswith("adlif"):
        with torch.no_grad():
            model.cells[0].input.weight.mul_(20)
    rows = np.random.default_rng(0).random((40, 5))
    with torch.no_grad():
        series = model.sequence(torch.from_numpy(rows)[None])
        series = (series[0] if isinstance(series, tuple) else series)[0].numpy()
    expected = series[-1] if name.startswith("adlif") else series.mean(0)
    for size in (1, 9, 40):
        found = list(pumice.stream(model, [rows[at : at + size] for at in range(0, 40, size)]))
        np.testing.assert_allclose(found[-1].logits, expected, atol=1e-5)
    windowed = list(pumice.stream(model, [rows], window=6))
    np.testing.assert_allclose(windowed[-1].logits, series[-6:].mean(0), atol=1e-5)
    held = series[0]
    for row in series[1:]:
        held = held + (row - held) / 8
    first = pumice.stream(model, forget=3)
    list(first.take(rows[:17]))
    first.save(tmp_path / "state.npz")
    second = pumice.stream(model, forget=3)
    second.restore(tmp_path / "state.npz")
    (last,) = [*second.take(rows[17:]), *second.finish()]
    np.testing.assert_allclose(last.logits, held, atol=1e-5)


@pytest.mark.parametrize("wrong", [-1.0, 6.0, 2.5])
def test_a_neuron_is_not_held_for_longer_than_its_time(wrong):
    """States come from files: what no stream of the model leaves is refused."""
    model = pumice.build_model("adlif/tiny", num_classes=3, in_features=5, hidden=12, refractory=5).eval()
    engine = StepEngine(model, "abc", Timing())
    state = engine.snapshot()
    engine.restore(state | {"state.0003": np.full((1, 12), 5.0, np.float32)})
    with pytest.raises(PumiceError, match="the state is none of this model"):
        engine.restore(state | {"state.0003": np.full((1, 12), wrong, np.float32)})


def test_states_of_other_models_and_broken_ones(tmp_path):
    models = [pumice.build_model("s5/tiny", num_classes=3, vocab=20, seed=seed, **EVENTS["s5/tiny"]) for seed in (0, 1)]
    running = [pumice.stream(model, task=TASK) for model in models]
    list(running[0].take(events()))
    running[0].save(tmp_path / "state.npz")
    with pytest.raises(PumiceError, match="state of another program"):
        running[1].restore(tmp_path / "state.npz")
    arrays = running[0].engine.snapshot()
    counts = [name for name, array in arrays.items() if array.dtype == np.int64 and array.shape == (1,)]
    broken = {"state.0000": np.full_like(arrays["state.0000"], np.nan), "recent.00000": arrays["state.0000"]}
    broken |= {counts[0]: np.array([1 << 40]), "held": np.zeros(99, np.float32)}
    for name, array in broken.items():
        with pytest.raises(PumiceError, match="none of this model"):
            running[0].engine.restore(arrays | {name: array})


def test_what_cannot_run_a_stream():
    model = pumice.build_model("spikingssm/smnist", num_classes=3, in_features=5, d_model=8, bidirectional=True)
    for other in (model, torch.nn.Linear(2, 2)):
        with pytest.raises(PumiceError, match="cannot run a stream"):
            pumice.stream(other)
    model = pumice.build_model("s5/tiny", num_classes=3, vocab=20, **EVENTS["s5/tiny"])
    with pytest.raises(PumiceError, match="as many places"):
        pumice.stream(model, sensor=[21])
    with pytest.raises(PumiceError, match="not task arrays's"):
        pumice.stream(model, task=TASK, sensor=[10])
    with pytest.raises(PumiceError, match="does not fit a model of 5 channels"):
        pumice.stream(pumice.build_model("adlif/tiny", num_classes=3, in_features=5), sensor=[12])
