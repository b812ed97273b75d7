"""Bytes of recordings changed at random: they are read, or refused in one sentence, and nothing else happens."""

import struct

import h5py
import numpy as np
import pytest
import soundfile
from pumice.errors import PumiceError
from pumice.train.data.audio.decode import SUFFIXES, decode
from pumice.train.data.files.matlab import read_variables
from pumice.train.data.files.opening import read_columns
from scipy.io import loadmat, savemat

N = 40
EVENTS = {"t": np.arange(N) * 100, "x": np.arange(N) % 34, "y": np.arange(N) % 30, "p": np.arange(N) % 2}
TABLE = np.stack(list(EVENTS.values()), axis=1)
TRIES = 40


def hdf5(path):
    with h5py.File(path, "w") as file:
        for name, values in EVENTS.items():
            file.create_dataset(name, data=values, chunks=(10,), compression="gzip")


def caer(path):
    packet = struct.pack("<HHIIIIII", 1, 0, 8, 4, 0, N, N, N) + TABLE[:, :2].astype("<u4").tobytes()
    path.write_bytes(b"#!AER-DAT3.1\r\n#!END-HEADER\r\n" + packet)


WRITERS = {
    "a.npy": lambda path: np.save(path, np.array([tuple(row) for row in TABLE], [(name, "<i4") for name in "txyp"])),
    "a.npz": lambda path: np.savez_compressed(path, **EVENTS),
    "a.csv": lambda path: np.savetxt(path, TABLE, "%d", ",", header="t,x,y,p", comments=""),
    "a.mat": lambda path: savemat(path, EVENTS),
    "b.mat": lambda path: savemat(path, EVENTS, do_compression=True),
    "a.h5": hdf5,
    "a.bin": lambda path: path.write_bytes(bytes(range(250))),
    "a.dat": lambda path: path.write_bytes(b"% end\n\x0c\x08" + TABLE[:, :2].astype("<u4").tobytes()),
    "a.raw": lambda path: path.write_bytes(b"% evt 3.0\n" + TABLE.astype("<u2").tobytes()),
    "a.aedat": lambda path: path.write_bytes(b"#!AER-DAT2.0\r\n" + TABLE[:, :2].astype(">u4").tobytes()),
    "b.aedat": caer,
    "a.wav": lambda path: soundfile.write(path, np.sin(np.arange(2000) / 9), 22_050),
    "a.flac": lambda path: soundfile.write(path, np.sin(np.arange(2000) / 9), 22_050),
    "a.ogg": lambda path: soundfile.write(path, np.sin(np.arange(2000) / 9), 22_050),
}


def damage(path, tries, seed):
    """Read ``path`` with a few of its bytes changed, or its end cut off."""
    rng, whole = np.random.default_rng(seed), path.read_bytes()
    refused = []
    for _ in range(tries):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(0, len(content))] if rng.random() < 0.15 else content)
        try:
            decode(path, 60) if path.suffix in SUFFIXES else read_columns(path)
        except PumiceError as error:
            refused.append(str(error))
    assert not [sentence for sentence in refused if "\n" in sentence]
    return len(refused)


@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_read_or_a_sentence(tmp_path, name):
    WRITERS[name](tmp_path / name)
    damage(tmp_path / name, TRIES, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_by_the_thousand(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert damage(tmp_path / name, 2000, seed=1) > 20


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_variables_are_those_that_scipy_reads(tmp_path, packed, kind):
    rng = np.random.default_rng(0)
    values = {f"v{axes}": (100 * rng.random((3,) * axes)).astype(kind) for axes in (1, 2, 3)}
    values |= {"a": np.array([[7]], kind), "none": np.zeros((0, 4), kind), "text": "words", "c": np.array([1j])}
    savemat(tmp_path / "a.mat", values, do_compression=packed)
    ours, theirs = read_variables(tmp_path / "a.mat"), loadmat(tmp_path / "a.mat")
    assert set(ours) == {"v1", "v2", "v3", "a", "none"}
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert np.array_equal(array, theirs[name])
