"""Sound of any rate, width, channel count and format gives the spikes of the sound; kept by content, resumed."""

import numpy as np
import pytest
import soundfile
import yaml
from pumice.errors import PumiceError
from pumice.train.data.audio import store
from pumice.train.data.audio.decode import RATE, decode, level, resample
from pumice.train.data.audio.settings import AudioSettings, audio_settings
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.sources import registry
from pumice.train.data.sources.registry import open_recordings
from pumice.train.data.spoken_digits import encoder
from pumice.train.data.task import task_config

PLAIN = yaml.safe_load((registry.Path(registry.__file__).parents[3] / "configs/task/audio-folder.yaml").read_text())


def task(root, **changes):
    files = PLAIN["files"] | changes.pop("files", {})
    audio = PLAIN["audio"] | {"threads": 1} | changes.pop("audio", {})
    return task_config(PLAIN | {"root": str(root), "files": files, "audio": audio} | changes)


def tone(hertz, rate=RATE, seconds=0.1):
    t = np.arange(round(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * hertz * t) * np.hanning(len(t))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PUMICE_CACHE", str(folder))
    return folder


@pytest.fixture
def tones(tmp_path):
    """Two classes by pitch, three speakers, two recordings each."""
    for label, hertz in (("low", 300), ("high", 3000)):
        for speaker in range(3):
            for number in range(2):
                path = tmp_path / label / f"s{speaker}_{number}.wav"
                path.parent.mkdir(exist_ok=True)
                soundfile.write(path, tone(hertz * (1 + 0.05 * speaker + 0.01 * number)), RATE)
    return tmp_path


def test_the_spikes_are_those_of_the_cochlea(tones):
    configured = task(tones, files={"test": {"pattern": "s2_"}, "subject": r"s(\d)_"})
    data = EventDataModule(configured)
    assert data.num_classes == 2
    recordings = open_recordings(configured, "test")
    assert recordings.class_names == ("high", "low")
    assert recordings.speakers.tolist() == [2] * 4
    sound, _ = soundfile.read(tones / "high" / "s2_0.wav", dtype="float32")
    times, units = encoder.encode(level("x", sound.astype(float), True), RATE, dtype=np.float32)
    events = recordings.events(0)
    assert len(events) == len(times) > 50
    assert np.array_equal(events["t"], np.rint(times.astype(np.float64) * 1e6))
    assert np.array_equal(events["x"], units)
    low, high = (recordings.events(index)["x"].mean() for index in (2, 0))
    assert low < high


def test_other_rates_widths_channels_and_formats_give_the_same_sound(tmp_path):
    wanted = tone(1000)
    for name, rate, kind in (
        ("a.wav", 44_100, "PCM_16"),
        ("b.wav", 16_000, "PCM_24"),
        ("c.wav", 8_000, "FLOAT"),
        ("d.flac", 48_000, "PCM_24"),
        ("e.wav", 22_050, "PCM_U8"),
        ("f.wav", 11_127, "DOUBLE"),
        ("g.ogg", 32_000, None),
    ):
        sound = tone(1000, rate)
        soundfile.write(tmp_path / name, np.stack([sound, sound], axis=1), rate, subtype=kind)
        found_rate, samples = decode(tmp_path / name, 60)
        assert found_rate == rate
        resampled = resample(samples, rate)
        size = min(len(resampled), len(wanted))
        error = np.abs(resampled[:size] - wanted[:size]).max()
        assert error < (0.05 if name == "g.ogg" else 0.01), name
        assert abs(len(resampled) - len(wanted)) <= 1 or name == "g.ogg"


def test_channels_that_are_filtered_at_once_change_nothing():
    sound = level("x", tone(500), False)
    whole = encoder.encode(sound, RATE, dtype=np.float32)
    parts = encoder.encode(sound, RATE, dtype=np.float32, chunk=7)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_what_was_encoded_is_kept_by_content_and_an_interruption_costs_one_file(tones, monkeypatch):
    encoded = []
    encode_file = store.encode_file

    def spy(path, settings):
        if len(encoded) == 3 and "stop" in encoded_until:
            raise KeyboardInterrupt
        encoded.append(path.name)
        return encode_file(path, settings)

    encoded_until = {"stop"}
    monkeypatch.setattr(store, "encode_file", spy)
    configured = task(tones, files={"test": {"pattern": "s2_"}})
    with pytest.raises(KeyboardInterrupt):
        open_recordings(configured, "train")
    assert len(encoded) == 3
    encoded_until.clear()
    first = open_recordings(configured, "train")
    assert len(encoded) == 8  # three were kept
    (tones / "low" / "s0_0.wav").rename(tones / "low" / "s0_9.wav")
    again = open_recordings(configured, "train")
    assert len(encoded) == 8  # by content, not by name
    assert sorted(again.lengths) == sorted(first.lengths)
    soundfile.write(tones / "low" / "s0_9.wav", tone(350), RATE)
    open_recordings(configured, "train")
    assert encoded[8:] == ["s0_9.wav"]
    open_recordings(task(tones, files={"test": {"pattern": "s2_"}}, audio={"trim": False}), "train")
    assert len(encoded) == 17  # other settings


def test_files_that_are_no_sound_are_a_sentence(tmp_path):
    settings = AudioSettings(longest_s=1)
    whole = tmp_path / "a.wav"
    soundfile.write(whole, tone(300), RATE)
    content = whole.read_bytes()
    cases = {
        "empty": (b"", "cannot be read as sound"),
        "text": (b"no sound at all" * 10, "cannot be read as sound"),
        "rate": (content[:24] + (400_000).to_bytes(4, "little") + content[28:], "its rate is 400,000 Hz"),
    }
    for name, (changed, reason) in cases.items():
        path = tmp_path / f"{name}.wav"
        path.write_bytes(changed)
        with pytest.raises(PumiceError, match=reason) as refused:
            store.encode_file(path, settings)
        assert "\n" not in str(refused.value)
    for name, sound, kind, reason in (
        ("long", tone(300, seconds=1.1), None, r"lasts 1\.1 s, the limit is 1 s.*task\.audio\.longest_s"),
        ("silent", np.zeros(2000), None, "is silent; leave it out"),
        ("nan", np.array([0.1, np.nan, 0.2]), "FLOAT", "not finite"),
        ("wide", np.zeros((10, 40)), None, "has 40 channels"),
        ("nothing", np.zeros(0), None, "is silent"),
    ):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype=kind)
        with pytest.raises(PumiceError, match=reason):
            store.encode_file(tmp_path / f"{name}.wav", settings)


def test_a_packed_file_that_declares_hours_is_refused_unread(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(RATE), RATE)
    content = bytearray(path.read_bytes())
    samples = int.from_bytes(content[21:26], "big")
    assert samples & (1 << 36) - 1 == RATE  # the header's count of samples, 36 bits
    content[21:26] = (samples | (1 << 35)).to_bytes(5, "big")
    path.write_bytes(content)
    with pytest.raises(PumiceError, match="cannot be read as sound"):
        decode(path, 600)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"longest_s": 0}, "longest_s=0"),
        ({"longest_s": 1e9}, "lies between 0 and 600"),
        ({"threads": 0}, "threads=0"),
        ({"volume": 11}, r"task\.audio\.volume is unknown"),
        ({"longest_s": "long"}, "of a wrong kind"),
    ],
)
def test_settings_out_of_range_are_named(values, reason):
    with pytest.raises(PumiceError, match=reason):
        audio_settings(values)


def test_the_sensor_is_the_cochlea(tones):
    with pytest.raises(PumiceError, match=r"the cochlea has 700 channels; set \[700\]"):
        open_recordings(task(tones, sensor=[64]), "train")
