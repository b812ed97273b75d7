"""Raw waveforms from small files in the published layout."""

import wave

import numpy as np
import pytest
from pumice.api.data import load_data
from pumice.errors import PumiceError


def write_wav(path, samples, rate=16_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


@pytest.fixture
def root(tmp_path):
    base = tmp_path / "speech_commands_v0.02"
    for word in ("bed", "yes", "zero"):
        for number in range(6):
            write_wav(base / word / f"{number}_nohash_0.wav", np.full(16_000 - 1000 * number, 1000 * number))
    write_wav(base / "_background_noise_" / "pink_noise.wav", np.zeros(50_000))
    (base / "validation_list.txt").write_text("bed/1_nohash_0.wav\nzero/5_nohash_0.wav\n")
    (base / "testing_list.txt").write_text("yes/3_nohash_0.wav\n")
    return tmp_path


def test_waveforms_and_the_published_splits(root):
    data = load_data("speech-commands-raw", root=str(root), batch_size=4)
    assert (data.num_classes, data.class_names[-1]) == (35, "zero")
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [15, 2, 1]
    (batch,) = data.batches("validation", 2)
    assert batch.inputs.shape == (2, 16_000, 1)
    assert batch.targets[:, 1].tolist() == [1, 34]
    np.testing.assert_allclose(batch.inputs[1, :11_000, 0], 5000 / 32768)
    assert not batch.inputs[1, 11_000:].any()
    held = {path for split in ("validation", "test") for path in data.samples(split).paths}
    assert not held & set(data.train_dataset.paths)


def test_other_rates_and_longer_files_are_a_sentence(root):
    path = root / "speech_commands_v0.02" / "yes" / "3_nohash_0.wav"
    for samples, rate, part in ((np.zeros(8000), 8000, "8,000 Hz"), (np.zeros(17_000), 16_000, "the limit is 1 s")):
        write_wav(path, samples, rate)
        with pytest.raises(PumiceError, match=part):
            list(load_data("speech-commands-raw", root=str(root)).batches("test"))


def test_missing_files_and_lists_that_lie_are_a_sentence(root, tmp_path):
    with pytest.raises(PumiceError, match=r"testing_list\.txt does not exist; set task\.root"):
        load_data("speech-commands-raw", root=str(tmp_path / "none")).samples("test")
    for line in ("../../secret.wav", "bed/../x.wav", "bed/x.txt", "unknown/x.wav"):
        (root / "speech_commands_v0.02" / "testing_list.txt").write_text(line)
        with pytest.raises(PumiceError, match="is no file of a word"):
            load_data("speech-commands-raw", root=str(root)).samples("test")
