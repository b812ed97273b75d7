"""Every format against a second reading of its documentation, event by event; what lies is a sentence."""

import struct
import sys

import h5py
import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.train.data.files.opening import READERS, read_columns
from scipy.io import savemat
from tonic.io import read_mnist_file

N = 300


@pytest.fixture
def events():
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 40_000_000, N))
    return {"t": t, "x": rng.integers(0, 640, N), "y": rng.integers(0, 480, N), "p": rng.integers(0, 2, N)}


def assert_read(path, events, **options):
    found = read_columns(path, **options)
    for name, expected in events.items():
        assert np.array_equal(np.asarray(getattr(found, name)).astype(np.int64), expected), name
    return found


def table(events, order="txyp"):
    return np.stack([events[name] for name in order], axis=1)


def test_arrays_and_text(tmp_path, events):
    kind = [("x", "<i2"), ("y", "<i2"), ("p", "?"), ("t", "<i8")]
    np.save(tmp_path / "named.npy", np.array([tuple(row) for row in table(events, "xypt")], kind))
    np.save(tmp_path / "rows.npy", table(events, "xytp"))
    np.savez(tmp_path / "named.npz", **{"ts": events["t"], "x": events["x"], "y": events["y"], "pol": events["p"]})
    np.savez_compressed(tmp_path / "one.npz", events=table(events))
    np.savetxt(tmp_path / "named.csv", table(events, "pyxt"), "%d", ",", header="Polarity,y,x,Timestamp", comments="")
    np.savetxt(tmp_path / "rows.txt", table(events), "%d", " ")
    np.savetxt(tmp_path / "marked.csv", table(events), "%d", ";", header="t;x;y;p")
    for name in ("named.npy", "named.npz", "one.npz", "named.csv", "rows.txt", "marked.csv"):
        assert assert_read(tmp_path / name, events).unit_us is None
    assert_read(tmp_path / "rows.npy", events, order=("x", "y", "t", "p"))
    np.savetxt(tmp_path / "two.csv", table(events, "tx"), "%d", "\t")
    assert read_columns(tmp_path / "two.csv", ("t", "x")).y is None


def test_hdf5_and_matlab_with_a_data_set_a_column(tmp_path, events):
    for name, place in (("a.h5", ""), ("b.hdf5", "events/"), ("c.h5", "CD/events/")):
        with h5py.File(tmp_path / name, "w") as file:
            for column, values in events.items():
                file[f"{place}{column}"] = values
        assert_read(tmp_path / name, events)
    savemat(tmp_path / "a.mat", {"ts": events["t"], "x": events["x"], "y": events["y"], "pol": events["p"]})
    assert_read(tmp_path / "a.mat", events)


def test_five_bytes_an_event_as_tonic_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (N, 5)).astype(np.uint8)
    rows[:, 1] = np.where(rng.random(N) < 0.1, 240, rng.integers(0, 34, N))
    (tmp_path / "a.bin").write_bytes(rows.tobytes())
    theirs = read_mnist_file(tmp_path / "a.bin", np.dtype([(name, int) for name in "xytp"]))
    found = assert_read(tmp_path / "a.bin", {name: theirs[name] for name in "txyp"})
    assert found.unit_us == 1
    assert (rows[:, 1] == 240).any()


def test_dat(tmp_path, events):
    words = b"".join(struct.pack("<II", t, p << 28 | y << 14 | x) for t, x, y, p in table(events).tolist())
    (tmp_path / "a.dat").write_bytes(b"% Date 2026\n% Version 2\n% end\n" + bytes([12, 8]) + words)
    assert_read(tmp_path / "a.dat", events)


def evt2(events):
    words, high = [], None
    for t, x, y, p in table(events).tolist():
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return struct.pack(f"<{len(words)}I", *words)


def evt3(events):
    """With single pixels alone."""
    words, high = [], None
    for t, x, y, p in table(events).tolist():
        if t >> 12 != high:
            if high is not None and t >> 12 >= high + 4096:
                raise AssertionError("a gap of more than a round of the clock")
            high = t >> 12
            words.append(8 << 12 | high & 0xFFF)
        words += [6 << 12 | t & 0xFFF, y, 2 << 12 | p << 11 | x]
    return struct.pack(f"<{len(words)}H", *words)


@pytest.mark.parametrize(("write", "header"), [(evt2, "% evt 2.0\n% end\n"), (evt3, "% format EVT3;width=640\n")])
def test_raw(tmp_path, events, write, header):
    (tmp_path / "a.raw").write_bytes(header.encode() + write(events))
    assert_read(tmp_path / "a.raw", events)


def test_vectors_of_pixels_by_the_rules_one_word_after_the_other(tmp_path):
    rng = np.random.default_rng(1)
    kinds = rng.choice([0, 2, 3, 4, 5, 6, 7, 8, 10, 14], 2000)
    kinds[:3] = 8, 0, 3
    words = kinds << 12 | rng.integers(0, 4096, 2000)
    words[kinds == 8] = 8 << 12 | np.cumsum(kinds == 8)[kinds == 8] * 37 & 0xFFF
    high = low = y = base = polarity = previous = rounds = 0
    expected = []
    for word in words.tolist():
        kind, value = word >> 12, word & 0xFFF
        if kind == 8:
            rounds += value < previous - 2048
            high, low, previous = value + 4096 * rounds, 0, value
        elif kind == 6:
            low = value
        elif kind == 0:
            y = value & 0x7FF
        elif kind == 2:
            expected.append((high << 12 | low, value & 0x7FF, y, value >> 11))
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (4, 5):
            size = 12 if kind == 4 else 8
            expected += [(high << 12 | low, base + bit, y, polarity) for bit in range(size) if value >> bit & 1]
            base += size
    (tmp_path / "a.raw").write_bytes(b"% evt 3.0\n" + struct.pack("<2000H", *words.tolist()))
    assert_read(tmp_path / "a.raw", dict(zip("txyp", np.array(expected).T, strict=True)))


def test_addresses_of_jaer(tmp_path, events):
    x, y = events["x"] % 128, events["y"] % 128
    for version, width in (("1.0", "H"), ("2.0", "I")):
        address = y << 8 | (127 - x) << 1 | (1 - events["p"])
        pairs = zip(address.tolist(), events["t"].tolist(), strict=True)
        body = b"".join(struct.pack(f">{width}I", *pair) for pair in pairs)
        (tmp_path / "a.aedat").write_bytes(f"#!AER-DAT{version}\r\n# comment\r\n".encode() + body)
        assert_read(tmp_path / "a.aedat", events | {"x": x, "y": y})
    address = (events["y"] % 260) << 22 | (events["x"] % 346) << 12 | events["p"] << 11
    pairs = [(1 << 31 | 5, 0), *zip(address.tolist(), events["t"].tolist(), strict=True)]
    (tmp_path / "b.aedat").write_bytes(b"#!AER-DAT2.0\r\n" + b"".join(struct.pack(">II", *pair) for pair in pairs))
    assert_read(tmp_path / "b.aedat", events | {"x": events["x"] % 346, "y": events["y"] % 260}, camera="davis")


def caer(kind, body, size=8, overflow=0, count=None):
    count = len(body) // size if count is None else count
    return struct.pack("<HHIIIIII", kind, 0, size, 4, overflow, count, count, count) + body


def test_packets_of_caer(tmp_path, events):
    rows = table(events).tolist()
    body = [struct.pack("<II", x << 17 | y << 2 | p << 1 | 1, t) for t, x, y, p in rows]
    body[7] = struct.pack("<II", 0, 0)  # no longer valid
    rest = {name: np.delete(values, 7) for name, values in events.items()}
    rest["t"] = rest["t"] + np.where(np.arange(N - 1) >= 99, 1 << 31, 0)
    packets = caer(1, b"".join(body[:100])) + caer(2, bytes(72), 36) + caer(1, b"".join(body[100:]), overflow=1)
    (tmp_path / "a.aedat").write_bytes(b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n" + packets)
    assert_read(tmp_path / "a.aedat", rest)


def test_version_4_names_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", None)
    (tmp_path / "a.aedat4").write_bytes(b"#!AER-DAT4.0\r\n" + bytes(40))
    with pytest.raises(PumiceError, match=r"a\.aedat4 is of AEDAT version 4.*pip install 'pumice\[aedat\]'"):
        read_columns(tmp_path / "a.aedat4")


def test_version_4_by_the_package(tmp_path, monkeypatch):
    """What the package hands over, taken from its documentation."""
    kind = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
    made = np.array([(5, 1, 2, True), (9, 3, 4, False)], kind)

    class Decoder:
        def __init__(self, path):
            self.packets = [{"stream_id": 1, "frame": {}}, {"stream_id": 0, "events": made}]

        def id_to_stream(self):
            return {0: {"type": "events"}, 1: {"type": "frame"}}

        def __iter__(self):
            return iter(self.packets)

    monkeypatch.setitem(sys.modules, "aedat", type(sys)("aedat"))
    sys.modules["aedat"].Decoder = Decoder
    (tmp_path / "a.aedat4").write_bytes(b"#!AER-DAT4.0\r\n")
    assert_read(tmp_path / "a.aedat4", {"t": [5, 9], "x": [1, 3], "y": [2, 4], "p": [1, 0]})


HEADER = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
LIES = {
    "a.bin": (b"1234567", "no multiple of 5"),
    "a.dat": (b"% end\n\x0e\x08" + bytes(8), "no change-detection events"),
    "b.dat": (b"% end\n\x0c\x08" + bytes(9), "cut off"),
    "c.dat": (b"% " + b"x" * 70_000, "header is longer"),
    "a.raw": (b"% evt 4.0\n", "its encoding is 4.0"),
    "b.raw": (bytes(100), "its encoding is not named"),
    "c.raw": (b"% evt 3.0\n123", "no multiple of 2"),
    "a.aedat": (b"#!AER-DAT7.0\r\n", "its version is b'7.0'"),
    "b.aedat": (b"#!AER-DAT2.0\r\n1234567", "no multiple of 8"),
    "c.aedat": (HEADER + caer(1, bytes(16), count=1 << 30), "declares more events"),
    "d.aedat": (HEADER + caer(1, bytes(16), 16), "have 16 bytes, not 8"),
    "e.aedat": (HEADER + b"123", "cut off"),
    "a.csv": (b"1,2\n3,4\n", "2 columns and names 4|not 4 columns|task.files.columns"),
    "b.csv": (b"t,x\n1,2\n3\n", "cannot be read as a recording"),
    "c.csv": (b"t,x\n1,two\n", "cannot be read as a recording"),
    "d.csv": (b"\xff\xfe,\x80\n", "no text in UTF-8"),
    "e.csv": (b"1" * 9000, "4,096 letters"),
    "f.csv": (b"t,y\n1,2\n", "and not the times t and the positions x"),
    "a.npy": (b"\x93NUMPY\x01\x00\x05\x00((((\n", "cannot be read as a recording"),
    "a.npz": (b"PK\x05\x06" + bytes(18), "cannot be read as a recording|names nothing"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "cannot be read as a recording"),
    "a.mat": (bytes(200), "not of version 5"),
    "a.es": (b"Event Stream", "ends in none of .npy"),
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_lie_are_one_sentence(tmp_path, name):
    content, reason = LIES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PumiceError, match=reason) as refused:
        read_columns(tmp_path / name)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value)


@pytest.mark.parametrize("suffix", sorted(set(READERS) - {".txt", ".hdf5", ".aedat4"}))
def test_large_sparse_and_missing_files_are_refused_before_memory_is_taken(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(PumiceError, match="does not exist"):
        read_columns(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PumiceError, match=r"1,099,511,627,776 bytes, the limit is"):
        read_columns(path)


def test_packed_arrays_that_grow_beyond_reason_are_refused(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", t=np.zeros(9 << 20), x=np.zeros(1))
    with pytest.raises(PumiceError, match="the limit is 67108864"):
        read_columns(tmp_path / "a.npz")


def test_objects_and_unequal_columns_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", t=np.zeros(3), x=np.zeros(2))
    np.savez(tmp_path / "b.npz", t=np.zeros(3), x=np.zeros((2, 2)))
    for name in ("a.npy", "a.npz", "b.npz"):
        with pytest.raises(PumiceError, match="cannot be read as a recording"):
            read_columns(tmp_path / name)
