"""Archives that lie about their sizes: refused before memory is taken, or read for what they hold."""

import os
import random
import struct
import subprocess
import sys
import zipfile
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from packed_zeros import MIB, pack_zeros
from pumice.program import ProgramError, load
from pumice.program.archive import read_arrays


@given(
    hnp.arrays(
        st.sampled_from(["?", "i1", "<u2", ">i4", "<i8", "<f4", ">f8"]), hnp.array_shapes(min_dims=0, min_side=0)
    ),
    st.sampled_from([np.savez, np.savez_compressed]),
    st.sampled_from(["C", "F"]),
)
def test_arrays_come_back_as_they_were(tmp_path_factory, array, save, order):
    path = tmp_path_factory.getbasetemp() / "arrays.npz"
    array = array.copy(order)
    save(path, array=array, other=np.arange(3))
    found = read_arrays(path)
    assert list(found) == ["array", "other"]
    assert (found["array"].dtype, found["array"].shape) == (array.dtype, array.shape)
    assert found["array"].tobytes() == array.tobytes()


def npy(shape, content=b"", descr="|u1", text=None):
    """A ``.npy`` file that declares ``shape``, whatever it holds."""
    text = text or f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def write(path, *entries, packing=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in entries:
            archive.writestr(f"{name}.npy", content)


def zeros(path, size, packing=zipfile.ZIP_DEFLATED, name="header", shape=None):
    """An entry of ``size`` zeros."""
    head = npy((size,) if shape is None else shape)
    with zipfile.ZipFile(path, "w", packing) as archive:
        if packing == zipfile.ZIP_DEFLATED:
            pack_zeros(archive, f"{name}.npy", head, size)
        else:
            archive.writestr(f"{name}.npy", head + bytes(size))


def change_directory(path, field, value, size=4):
    """Let the directory's last entry declare something else."""
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02") + field
    content[at : at + size] = value.to_bytes(size, "little")
    path.write_bytes(content)


def lying_directory(path, declared):
    write(path, ("header", npy((declared,), bytes(1000))))
    change_directory(path, 24, declared)


def sparse(path):
    """A file of 2**40 bytes that takes none of the disk."""
    write(path, ("header", npy((4,), bytes(4))))
    content = path.read_bytes()
    with path.open("wb") as file:
        file.seek((1 << 40) - len(content))
        file.write(content)


def many_entries(path):
    write(path, ("header", npy((4,), bytes(4))))
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entries = content[start:end] * 500_000
    tail = bytearray(content[end:])
    tail[12:16] = len(entries).to_bytes(4, "little")
    path.write_bytes(content[:start] + entries + tail)


def zip64_directory(path):
    """What only the 64-bit record of the end declares."""
    many_entries(path)
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    start, length = content.index(b"PK\x01\x02"), end - content.index(b"PK\x01\x02")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 500_000, 500_000, length, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    tail = bytearray(content[end:])
    tail[12:16] = (46).to_bytes(4, "little")
    path.write_bytes(content[:end] + record + locator + tail)


def overlapping(path):
    """One piece of data that a thousand entries name."""
    zeros(path, 64 * MIB)
    content = path.read_bytes()
    start, end = content.index(b"PK\x01\x02"), content.rindex(b"PK\x05\x06")
    entry = content[start:end]
    entries = b"".join(entry.replace(b"header", f"{number:06d}".encode()) for number in range(1000))
    tail = bytearray(content[end:])
    tail[8:10] = tail[10:12] = (1000).to_bytes(2, "little")
    tail[12:16] = len(entries).to_bytes(4, "little")
    path.write_bytes(content[:start] + entries + tail)


def encrypted(path):
    write(path, ("header", npy((4,), bytes(4))))
    change_directory(path, 8, 1, 2)


def padded_header(path):
    """A header of 64 KiB, and one that is longer than what follows."""
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (4,), }" + b" " * 65_000 + b"\n"
    write(path, ("header", npy(None, bytes(4), text=text)))


def deep_header(path):
    write(path, ("header", npy(None, text=b"(" * 9_000 + b"\n")))


def of_header(text):
    return lambda path: write(path, ("header", npy((len(text),), text)))


HOSTILE = {
    "1 GiB of zeros in 1 MB": partial(zeros, size=1024 * MIB),
    "240 MiB of zeros": partial(zeros, size=240 * MIB),
    "240 MiB of zeros, no header": partial(zeros, size=240 * MIB, name="a"),
    "240 MiB declared as 2**62": partial(zeros, size=240 * MIB, shape=(1 << 62,)),
    "packed by bzip2": partial(zeros, size=40 * MIB, packing=zipfile.ZIP_BZIP2),
    "packed by lzma": partial(zeros, size=40 * MIB, packing=zipfile.ZIP_LZMA),
    "more declared than deflate can hold": partial(lying_directory, declared=200 * MIB),
    "4 GiB declared": partial(lying_directory, declared=(1 << 32) - 2),
    "a sparse file": sparse,
    "half a million entries": many_entries,
    "half a million entries, 64 bit": zip64_directory,
    "overlapping entries": overlapping,
    "encrypted": encrypted,
    "a long header": padded_header,
    "a deep header": deep_header,
    "a shape of 2**62": lambda path: write(path, ("header", npy((1 << 62,), bytes(9)))),
    "a shape whose size wraps": lambda path: write(path, ("header", npy((1 << 33, 1 << 31), bytes(9)))),
    "a negative shape": lambda path: write(path, ("header", npy((-1, -9), bytes(9)))),
    "an empty shape of 2**62": lambda path: write(path, ("header", npy((0, 1 << 62)))),
    "70 dimensions": lambda path: write(path, ("header", npy((1,) * 70, bytes(1)))),
    "objects": lambda path: write(path, ("header", npy((1,), b"cos\nmkdir\n(S'x'\ntR.", descr="|O"))),
    "records": lambda path: write(path, ("header", npy((1,), bytes(8), descr=[("a", "<i8")]))),
    "text": lambda path: write(path, ("header", npy((1,), bytes(4), descr="<U1"))),
    "huge text": lambda path: write(path, ("header", npy((1,), bytes(4), descr="<U999999999"))),
    "one name twice": lambda path: write(path, ("header", npy((1,), b"1")), ("header", npy((1,), b"2"))),
    "deep JSON": of_header(b"[" * 3 * MIB),
    "wide JSON": of_header(b"[" + b"[]," * MIB + b"[]]"),
    "long JSON": of_header(b"[" + b"[]," * 6 * MIB + b"[]]"),
    "JSON with NaN": of_header(b'{"format": "pumice-program", "version": 1, "digest": NaN}'),
    "JSON with a huge number": of_header(b'{"format": "pumice-program", "version": 1e999}'),
    "JSON with a long number": of_header(b'{"format": "pumice-program", "version": ' + b"9" * 9999 + b"}"),
    "JSON with half a character": of_header(b'{"format": "pumice-program", "version": 1, "digest": "\\ud800"}'),
    "no JSON": of_header(b"\xff\xfe"),
}

READ = """
import resource, sys
from pumice.program import ProgramError, load

def memory(what):
    line = next(line for line in open("/proc/self/status") if line.startswith(what))
    return int(line.split()[1]) * 1024

limit = memory("VmSize") + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS")
    try:
        load(path)
    except ProgramError as error:
        assert "\\n" not in str(error), error
        print(memory("VmHWM") - before, error)
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Of each hostile file the memory that reading it took, and the sentence; one process, limited to 1 GiB more."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = [folder / f"{number}.npz" for number in range(len(HOSTILE))]
    for path, make in zip(paths, HOSTILE.values(), strict=True):
        make(path)
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    return {name: (path, *line.split(" ", 1)) for name, path, line in zip(HOSTILE, paths, lines, strict=True)}


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells the peak")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused_in_little_memory(refused, name):
    path, taken, sentence = refused[name]
    assert sentence.startswith(f"{path} ")
    # What is plausible may be read: once into arrays, JSON up to 25 times. 24 MiB are for Python and the directory.
    most = 240 * MIB if "240" in name else 25 * 4 * MIB if "JSON" in name else 0
    assert int(taken) <= most + 24 * MIB


def test_random_changes_of_the_frame_are_refused_or_harmless(tmp_path):
    """Bytes of the directory and of the headers, which no checksum covers."""
    path, rng = tmp_path / "x.npz", random.Random(0)
    np.savez_compressed(path, a=np.arange(900), b=np.zeros((3, 4), np.int8))
    right, content, refused = read_arrays(path), path.read_bytes(), 0
    for _ in range(2000):
        changed = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 4])):
            changed[rng.randrange(len(changed))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        path.write_bytes(changed)
        try:
            found = read_arrays(path)
        except ValueError:
            refused += 1
        else:
            assert all(np.array_equal(found.get(name), right[name]) for name in right if name in found)
    assert refused > 1000


def test_a_program_in_a_pipe_or_nowhere_is_a_sentence(tmp_path):
    with pytest.raises(ProgramError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(ProgramError, match="does not exist"):
        load(tmp_path / "nowhere.npz")


def refuse(path, sentence, most_bytes=MIB):
    with pytest.raises(ValueError, match=sentence):
        read_arrays(path, most_bytes)


def test_the_limit_is_that_of_all_arrays_together(tmp_path):
    """A byte more than allowed is refused, though each array is small."""
    path = tmp_path / "a.npz"
    write(path, *((name, npy((100,), bytes(100))) for name in "abc"), packing=zipfile.ZIP_STORED)
    with zipfile.ZipFile(path) as archive:
        total = sum(member.file_size for member in archive.infolist())
    assert set(read_arrays(path, total)) == set("abc")
    refuse(path, f"it declares {total} bytes of arrays, the limit is {total - 1}", total - 1)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(tmp_path):
    write(tmp_path / "a.npz", ("a", npy((1,), b"1")), ("a", npy((1,), b"2")))
    refuse(tmp_path / "a.npz", "two of its arrays have one name")


def test_arrays_that_share_their_bytes_are_refused(tmp_path):
    """Both entries of the directory lead to the first one's data: together they are longer than the file."""
    path, content = tmp_path / "a.npz", npy((5000,), bytes(5000))
    write(path, ("a", content), packing=zipfile.ZIP_STORED)
    whole = path.read_bytes()
    start = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    entry = whole[start:end]
    second = entry.replace(b"a.npy", b"b.npy")
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(entry) + len(second), start, 0)
    path.write_bytes(whole[:start] + entry + second + tail)
    refuse(path, "its arrays overlap")


@pytest.mark.parametrize("kind", ["U3", "S3", "M8[s]", "c16", "V4"])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, kind):
    np.savez(tmp_path / "a.npz", a=np.zeros(2, dtype=kind))
    refuse(tmp_path / "a.npz", r"'a\.npy' holds '\w', not numbers")


@pytest.mark.parametrize("count", [3, 5])
def test_shapes_that_the_bytes_do_not_fill_are_refused(tmp_path, count):
    write(tmp_path / "a.npz", ("a", npy((4,), bytes(count))))
    refuse(tmp_path / "a.npz", r"declares the shape \(4,\), which its bytes do not fill")
