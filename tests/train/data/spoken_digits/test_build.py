"""Building: the same bytes every time, larger sets, interruption, and refusals."""

import dataclasses
import importlib.util

import h5py
import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.train.data.spoken_digits import build as module
from pumice.train.data.spoken_digits import layout, synthesis, voices
from rich.console import Console

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="speech synthesis needs espeakng-loader"
)


def fake(item):
    """A recording that depends on the item alone, without speech."""
    random = np.random.default_rng(item.utterance.seed)
    times = np.sort(random.uniform(0, 0.9, 50)).astype(np.float16)
    return times, random.integers(0, 700, 50).astype(np.uint16)


def test_plan_is_balanced_repeatable_and_a_longer_one_begins_with_the_shorter():
    short, long = voices.plan("train", 800, 0), voices.plan("train", 1640, 0)
    assert long[:800] == short
    assert [item.label for item in long] == list(range(20)) * 82
    assert len(set(long)) == len(long)
    assert voices.plan("train", 20, 1) != voices.plan("train", 20, 0)
    for item in long + voices.plan("test", 800, 0):
        said = item.utterance
        assert said.text == voices.CLASSES[item.label]
        assert said.voice.startswith("de+") == (item.label >= 10)
        assert 80 <= said.rate <= 450
        assert 0 <= said.pitch <= 99
        assert 0 <= said.range <= 99


@pytest.mark.parametrize("count", [0, -20, 30])
def test_unbalanced_counts_are_refused(count):
    with pytest.raises(PumiceError, match="multiple of 20"):
        voices.plan("train", count, 0)


def test_build_writes_the_same_bytes_whatever_the_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make", fake)
    one = module.build(tmp_path / "one", train=60, test=20, seed=3, workers=1)
    four = module.build(tmp_path / "four", train=60, test=20, seed=3, workers=4)
    for split in ("train", "test"):
        assert one[split].path.read_bytes() == four[split].path.read_bytes()
        assert one[split].reference == "not comparable"
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["checksums.json", "test.h5", "train.h5"]
    data = layout.read(one["train"].path)
    assert np.array_equal(data.times[7], fake(voices.plan("train", 60, 3)[7])[0])


def test_an_interrupted_build_continues_and_a_finished_one_is_kept(tmp_path, monkeypatch):
    made = []

    def make(item):
        if len(made) == 50:
            raise KeyboardInterrupt
        made.append(item)
        return fake(item)

    monkeypatch.setattr(module, "make", make)
    with pytest.raises(KeyboardInterrupt):
        module.build(tmp_path, train=60, test=20, seed=3, workers=1)
    assert not (tmp_path / "train.h5").exists()
    continued = []
    monkeypatch.setattr(module, "make", lambda item: continued.append(item) or fake(item))
    reports = module.build(tmp_path, train=60, test=20, seed=3, workers=1)
    assert len(continued) == 20 + 20  # the last group of the training split, and the test split
    continued.clear()
    assert module.build(tmp_path, train=60, test=20, seed=3, workers=1) == reports
    assert not continued
    module.build(tmp_path, train=80, test=20, seed=3, workers=1)
    assert len(layout.read(tmp_path / "train.h5")) == 80
    assert len(continued) == 80


def test_a_set_that_differs_from_the_shipped_one_is_named_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make", fake)
    console = Console(record=True, width=200)
    reports = module.build_spoken_digits(tmp_path, train=20, test=400, seed=0, console=console)
    assert reports["train"].reference == "not comparable"
    assert reports["test"].reference == "different spikes"
    assert "different spikes" in console.export_text()


@needs_espeak
def test_speech_is_repeatable_and_depends_on_the_seed():
    utterance = synthesis.Utterance("seven", "en-us+f2", rate=150, pitch=50, range=50, volume=70, seed=1)
    rate, samples = synthesis.speak(utterance)
    assert rate == 22050
    assert np.array_equal(samples, synthesis.speak(utterance)[1])
    assert np.abs(samples).max() == pytest.approx(0.7)
    other = synthesis.speak(dataclasses.replace(utterance, seed=2))[1]
    assert not np.array_equal(samples, other)


@needs_espeak
def test_unknown_voice_is_one_sentence():
    utterance = dataclasses.replace(voices.plan("train", 20, 0)[0].utterance, voice="no-such-language")
    with pytest.raises(PumiceError, match="has no voice no-such-language"):
        synthesis.speak(utterance)


def test_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PumiceError, match="espeakng-loader; install it with"):
        synthesis.speak(voices.plan("train", 20, 0)[0].utterance)


def test_same_input_gives_the_same_file(tmp_path):
    table = [speaker for members in voices.speakers(0).values() for speaker in members]
    times, units = zip(*(fake(item) for item in voices.plan("test", 20, 0)), strict=True)
    data = layout.SpikeData(times, units, np.arange(20, dtype=np.uint16), np.zeros(20, np.uint16))
    for name in ("a.h5", "b.h5"):
        layout.write(tmp_path / name, data, table, {"seed": 0})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    assert layout.read(tmp_path / "a.h5").digest() == data.digest()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file["labels"].dtype == np.uint16
