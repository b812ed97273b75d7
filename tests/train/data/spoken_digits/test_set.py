"""The shipped set: contents, layout, unpacking, and that it comes from this code."""

import json
import lzma
import shutil

import h5py
import numpy as np
import pytest
import tonic
from pumice.errors import PumiceError
from pumice.train.data import spoken_digits
from pumice.train.data.spoken_digits import archive, build, layout, synthesis, voices

SEED = 0


@pytest.fixture(scope="module")
def sets():
    return {split: spoken_digits.load(split) for split in ("train", "test")}


def needs_recorded_versions():
    # Spikes of other versions may differ honestly; "pumice data build" then says so.
    differing = {name: pair for name, pair in build.other_versions().items() if name in ("espeakng-loader", "scipy")}
    if differing:
        pytest.skip(f"the shipped set was made with other versions (recorded, installed): {differing}")


def test_size_balance_and_disjoint_voices(sets):
    assert len(sets["train"]) == 800
    assert len(sets["test"]) == 400
    for data in sets.values():
        assert len(set(np.bincount(data.labels, minlength=20))) == 1
    assert not set(sets["train"].speakers) & set(sets["test"].speakers)
    table = voices.speakers(SEED)
    variants = {split: {speaker.variant for speaker in table[split]} for split in table}
    assert not variants["train"] & variants["test"]
    for split, data in sets.items():
        assert set(data.speakers) == {speaker.id for speaker in table[split]}


def test_spikes_are_sorted_in_range_and_as_dense_as_shd(sets):
    for data in sets.values():
        seconds = spikes = 0.0
        for times, units in zip(data.times, data.units, strict=True):
            assert times.dtype == np.float16
            assert units.dtype == np.uint16
            assert len(times) == len(units) > 200
            assert times[0] >= 0
            assert np.all(np.diff(times.astype(float)) >= 0)
            assert units.max() < 700
            seconds += float(times[-1])
            spikes += len(times)
        assert 8_000 < spikes / seconds < 12_500


def test_a_handful_of_utterances_is_regenerated_bit_for_bit(sets):
    needs_recorded_versions()
    for split, count, indices in (("train", 800, (0, 13, 407, 799)), ("test", 400, (5, 371))):
        items = voices.plan(split, count, SEED)
        for index in indices:
            times, units = build.make(items[index])
            assert np.array_equal(times, sets[split].times[index])
            assert np.array_equal(units, sets[split].units[index])
            assert items[index].label == sets[split].labels[index]
            assert items[index].speaker == sets[split].speakers[index]


def test_checksums_are_those_of_the_files(sets):
    recorded = archive.checksums()
    assert recorded["seed"] == SEED
    for split, data in sets.items():
        assert archive.sha256(spoken_digits.path(split)) == recorded["splits"][split]["sha256"]
        assert data.digest() == recorded["splits"][split]["content_sha256"]
    packed = [archive.FOLDER / f"{split}.h5.xz" for split in sets]
    assert sum(path.stat().st_size for path in packed) < 14e6


def test_tonic_reads_the_set_as_shd(sets, tmp_path):
    folder = tmp_path / "SHD"
    folder.mkdir()
    for split in sets:
        shutil.copyfile(spoken_digits.path(split), folder / f"shd_{split}.h5")
        (folder / f"shd_{split}.h5.zip").touch()  # tonic looks for the archive it would have downloaded
    for split, data in sets.items():
        read = tonic.datasets.SHD(str(tmp_path), train=split == "train")
        assert len(read) == len(data)
        assert [key.decode() for key in read.classes] == list(spoken_digits.CLASSES)
        assert np.array_equal(read.speaker, data.speakers)
        for index in (0, 77, len(data) - 1):
            events, label = read[index]
            ours = data.events(index)
            assert label == data.labels[index]
            for name in ("t", "x", "p"):
                assert np.array_equal(events[name], ours[name])


def test_file_says_what_it_is(sets):
    with h5py.File(spoken_digits.path("test"), "r") as file:
        assert "not SHD" in file.attrs["note"]
        assert len(file["extra/meta_info/gender"]) == 60
    provenance = layout.read_provenance(spoken_digits.path("test"))
    assert provenance["seed"] == SEED
    assert provenance["utterances"] == 400
    assert provenance["versions"] == archive.checksums()["versions"]


def test_unpacks_into_the_named_cache_and_mends_a_damaged_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path))
    path = spoken_digits.path("test")
    assert path.is_relative_to(tmp_path)
    good = path.read_bytes()
    path.write_bytes(good[:1000])
    assert spoken_digits.path("test").read_bytes() == good


def test_a_damaged_package_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PUMICE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(archive, "FOLDER", tmp_path)
    packed = tmp_path / "test.h5.xz"
    with pytest.raises(PumiceError, match="missing or damaged"):
        spoken_digits.path("test")
    packed.write_bytes(b"not xz at all")
    with pytest.raises(PumiceError, match="missing or damaged"):
        spoken_digits.path("test")
    packed.write_bytes(lzma.compress(b"another file"))
    with pytest.raises(PumiceError, match="SHA-256"):
        spoken_digits.path("test")
    assert not list((tmp_path / "cache").rglob("*.h5"))


def test_unknown_split_and_missing_file_are_clear(tmp_path):
    with pytest.raises(PumiceError, match="choose train or test"):
        spoken_digits.path("validation")
    with pytest.raises(PumiceError, match="does not exist"):
        layout.read(tmp_path / "none.h5")
    (tmp_path / "bad.h5").write_text("text")
    with pytest.raises(PumiceError, match="SHD's layout"):
        layout.read(tmp_path / "bad.h5")


def test_trim_keeps_the_sound_and_a_margin():
    samples = np.zeros(22050)
    samples[5000:6000] = np.sin(np.arange(1000)) * 1000
    trimmed = synthesis.trim(samples, 22050)
    assert np.abs(trimmed).max() == 1.0
    assert 1000 <= len(trimmed) <= 1000 + 2 * 221
    with pytest.raises(PumiceError, match="silent"):
        synthesis.trim(np.zeros(10), 22050)


def test_provenance_is_plain_json():
    with h5py.File(spoken_digits.path("train"), "r") as file:
        assert json.loads(file.attrs["provenance"])["split"] == "train"
