"""HDF5 files from anywhere: what lies elsewhere is named, and memory is taken for what is stored."""

import os
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest
from packed_zeros import MIB, zlib_zeros
from pumice.errors import PumiceError
from pumice.export.netx.read import read_net
from pumice.hdf5 import open_hdf5
from pumice.train.data.sources.shd_layout import ShdRecordings

ROWS = 40


def shd(path, leave_out=(), **options):
    """A file in SHD's layout, open for more."""
    file = h5py.File(path, "w", **options)
    for name, dtype in (("times", np.float16), ("units", np.uint16)):
        if f"spikes/{name}" not in leave_out:
            rows = file.create_dataset(f"spikes/{name}", (ROWS,), h5py.vlen_dtype(dtype))
            for row in range(ROWS):
                rows[row] = np.arange(10, dtype=dtype)
    for name, values in (("labels", np.arange(ROWS) % 20), ("extra/speaker", np.zeros(ROWS, int))):
        if name not in leave_out:
            file[name] = values
    file["extra/keys"] = np.array([f"word {label}".encode() for label in range(20)])
    return file


def elsewhere(path):
    """Another file, whose values must not be read."""
    other = path.with_suffix(".other")
    with shd(other):
        pass
    return str(other)


def with_labels(make):
    """A file whose labels are made by ``make(file, path)``."""

    def write(path):
        with shd(path, ["labels"]) as file:
            make(file, path)

    return write


def external_link(file, path):
    file["labels"] = h5py.ExternalLink(elsewhere(path), "labels")


def external_group(path):
    with shd(path, ["spikes/times", "spikes/units"]) as file:
        file["spikes"] = h5py.ExternalLink(elsewhere(path), "spikes")


def link_to_passwords(file, path):
    file["labels"] = h5py.ExternalLink("/etc/passwd", "x")


def soft_link(file, path):
    file["labels"] = h5py.SoftLink("/extra/speaker")


def virtual(file, path):
    layout = h5py.VirtualLayout((ROWS,), "i8")
    layout[:] = h5py.VirtualSource(elsewhere(path), "labels", (ROWS,))
    file.create_virtual_dataset("labels", layout)


def virtual_of_itself(file, path):
    layout = h5py.VirtualLayout((ROWS,), "i8")
    layout[:] = h5py.VirtualSource(".", "extra/speaker", (ROWS,))
    file.create_virtual_dataset("labels", layout)


def external_storage(file, path):
    path.with_suffix(".raw").write_bytes(bytes(8 * ROWS))
    file.create_dataset("labels", (ROWS,), "i8", external=[("/etc/passwd", 0, 160), (path.with_suffix(".raw"), 0, 160)])


def huge_and_empty(**options):
    return with_labels(lambda file, path: file.create_dataset("labels", (1 << 40,), "i8", **options))


def huge_with_one_chunk(file, path):
    labels = file.create_dataset("labels", (1 << 37,), "i8", chunks=(1 << 10,), compression="gzip")
    labels[:5] = 1


def huge_rows(path):
    with shd(path, ["spikes/times"]) as file:
        file.create_dataset("spikes/times", (1 << 40,), h5py.vlen_dtype(np.float16), chunks=(1000,))


def a_gibibyte_of_zeros(file, path):
    labels = file.create_dataset("labels", (1 << 30,), "i1", chunks=(MIB,), compression="gzip")
    piece = zlib.compress(bytes(MIB))
    for start in range(0, 1 << 30, MIB):
        labels.id.write_direct_chunk((start,), piece)


def bomb(file, path):
    """A chunk that holds a thousand times as much as it declares."""
    labels = file.create_dataset("labels", (ROWS,), "i8", chunks=(ROWS,), compression="gzip")
    labels.id.write_direct_chunk((0,), zlib_zeros(1500 * MIB))


def bombs_in_each_other(file, path):
    """Deflate twice: a million times as much."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((MIB // 16,))
    properties.set_deflate(9)
    properties.set_deflate(9)
    space = h5py.h5s.create_simple((MIB // 16,))
    labels = h5py.h5d.create(file.id, b"labels", h5py.h5t.STD_I8LE, space, properties)
    labels.write_direct_chunk((0,), zlib.compress(zlib_zeros(512 * MIB)))


def huge_chunk(file, path):
    labels = file.create_dataset("labels", (10,), "i1", chunks=(1 << 30,), maxshape=(None,), compression="gzip")
    labels.id.write_direct_chunk((0,), zlib_zeros(64 * MIB))


def other_filter(file, path):
    file.create_dataset("labels", data=np.zeros(ROWS, int), chunks=(ROWS,), compression="lzf")


def one_heap_object(path):
    """A million rows that all are one piece of a MiB."""
    with shd(path, ["spikes/times"]) as file:
        rows = file.create_dataset("spikes/times", (1 << 16,), h5py.vlen_dtype(np.float16))
        rows[0] = np.zeros(MIB // 2, np.float16)
        place = rows.id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + (16 << 16)] = content[place : place + 16] * (1 << 16)
    path.write_bytes(content)


def long_row(path):
    """A row that declares four billion events."""
    with shd(path) as file:
        place = file["spikes/times"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)


def long_row_in_a_chunk(path):
    with shd(path, ["spikes/times"]) as file:
        rows = file.create_dataset(
            "spikes/times", (ROWS,), h5py.vlen_dtype(np.float16), chunks=(ROWS,), compression="gzip"
        )
        for row in range(ROWS):
            rows[row] = np.zeros(3, np.float16)
        file.flush()
        content = bytearray(zlib.decompress(rows.id.read_direct_chunk((0,))[1]))
        content[:4] = b"\xff\xff\xff\xff"
        rows.id.write_direct_chunk((0,), zlib.compress(bytes(content)))


def rows_in_the_header(path):
    with shd(path, ["spikes/times"]) as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        kind = h5py.h5t.py_create(h5py.vlen_dtype(np.float16), logical=True)
        h5py.h5d.create(file["spikes"].id, b"times", kind, h5py.h5s.create_simple((ROWS,)), properties)
        file["spikes/times"][0] = np.zeros(3, np.float16)


def sparse_file(path):
    """Bytes that are declared, allocated and not there."""
    with shd(path, ["labels"]) as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((1 << 36,))
        h5py.h5d.create(file.id, b"labels", h5py.h5t.STD_I8LE, space, properties)


HOSTILE = {
    "external link": (with_labels(external_link), "labels is a link to elsewhere"),
    "external link to another file": (with_labels(link_to_passwords), "labels is a link to elsewhere"),
    "external group": (external_group, "spikes/times is a link to elsewhere"),
    "soft link": (with_labels(soft_link), "labels is a link to elsewhere"),
    "virtual data set": (with_labels(virtual), "labels keeps its values elsewhere"),
    "virtual data set of itself": (with_labels(virtual_of_itself), "labels keeps its values elsewhere"),
    "external storage": (with_labels(external_storage), "labels keeps its values elsewhere"),
    "2**40 elements": (huge_and_empty(), "labels declares 8,796,093,022,208 bytes and stores 0"),
    "2**40 elements in chunks": (
        huge_and_empty(chunks=(1000,)),
        "labels declares 8,796,093,022,208 bytes and stores 0",
    ),
    "2**37 elements, five of them stored": (
        with_labels(huge_with_one_chunk),
        "labels declares 1,099,511,627,776 bytes",
    ),
    "2**40 rows": (huge_rows, "times declares 17,592,186,044,416 bytes and stores 0"),
    "1 GiB of zeros in 1 MB": (with_labels(a_gibibyte_of_zeros), "labels declares 1,073,741,824 bytes and stores"),
    "a chunk that grows": (with_labels(bomb), "labels has a chunk that does not hold the 320 bytes"),
    "deflate twice": (with_labels(bombs_in_each_other), "labels is packed by filters [1, 1]"),
    "a chunk of 1 GiB": (with_labels(huge_chunk), "labels has chunks of 1,073,741,824 bytes"),
    "another filter": (with_labels(other_filter), "labels is packed by filters [32000]; write it with gzip"),
    "rows that are one piece": (one_heap_object, "times declares rows of 68,719,476,736 bytes"),
    "a row of 2**32 events": (long_row, "times declares rows of 8,589,9"),
    "a row of 2**32 events in a chunk": (long_row_in_a_chunk, "times declares rows of 8,589,9"),
    "rows in the header": (rows_in_the_header, "times keeps rows of variable length in its header"),
    "a sparse file": (sparse_file, "it declares 68,7"),
    "references": (
        with_labels(lambda file, _: file.create_dataset("labels", (ROWS,), h5py.ref_dtype)),
        "neither numbers",
    ),
    "records": (
        with_labels(lambda file, _: file.create_dataset("labels", (ROWS,), "i4,i8")),
        "neither numbers nor text",
    ),
    "rows of rows": (
        with_labels(lambda file, _: file.create_dataset("labels", (ROWS,), h5py.vlen_dtype(h5py.string_dtype()))),
        "neither numbers nor text",
    ),
    "a type in place of data": (
        with_labels(lambda file, _: file.__setitem__("labels", np.dtype("i8"))),
        "neither a group",
    ),
    "a group in place of data": (with_labels(lambda file, _: file.create_group("labels")), "labels is a group"),
    "nothing in place of data": (
        with_labels(lambda file, _: file.__setitem__("labels", h5py.Empty("i8"))),
        "holds nothing",
    ),
    "a user block": (lambda path: shd(path, userblock_size=512).close(), "it has a user block"),
}

READ = """
import resource, sys
from pumice.errors import PumiceError
from pumice.train.data.sources.shd_layout import ShdRecordings

def memory(what):
    line = next(line for line in open("/proc/self/status") if line.startswith(what))
    return int(line.split()[1]) * 1024

limit = memory("VmSize") + (1 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for path in sys.argv[1:]:
    open("/proc/self/clear_refs", "w").write("5")
    before = memory("VmRSS")
    try:
        ShdRecordings(path, 700, 20)
    except PumiceError as error:
        assert "\\n" not in str(error), error
        print(memory("VmHWM") - before, error)
    else:
        print(memory("VmHWM") - before, "nothing wrong")
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Of each hostile file the memory that reading it took, and the sentence; one process, limited to 1 GiB more."""
    folder = tmp_path_factory.mktemp("hostile")
    paths = [folder / f"{number}.h5" for number in range(len(HOSTILE))]
    for path, (make, _) in zip(paths, HOSTILE.values(), strict=True):
        make(path)
    done = subprocess.run([sys.executable, "-c", READ, *map(str, paths)], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths), done.stderr
    return {name: (path, *line.split(" ", 1)) for name, path, line in zip(HOSTILE, paths, lines, strict=True)}


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells the peak")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_by_name_in_little_memory(refused, name):
    path, taken, sentence = refused[name]
    assert HOSTILE[name][1] in sentence
    assert sentence.startswith(f"{path} cannot be read as an HDF5 file in SHD's layout")
    assert int(taken) < 3 * path.stat().st_size + 64 * MIB if name != "a sparse file" else int(taken) < 64 * MIB


@pytest.mark.parametrize("options", [{}, {"chunks": (7,)}, {"chunks": (7,), "compression": "gzip"}])
def test_rows_are_read_as_h5py_reads_them(tmp_path, options):
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.random(size)).astype(np.float16) for size in rng.integers(0, 30, ROWS)]
    with shd(tmp_path / "x.h5", ["spikes/times", "spikes/units"]) as file:
        times = file.create_dataset("spikes/times", (ROWS,), h5py.vlen_dtype(np.float16), **options)
        units = file.create_dataset("spikes/units", (ROWS,), h5py.vlen_dtype(np.uint16), **options)
        for index, row in enumerate(rows):
            times[index], units[index] = row, np.arange(len(row))
    recordings = ShdRecordings(tmp_path / "x.h5", 700, 20)
    assert recordings.lengths.tolist() == [len(row) for row in rows]
    expected = (rows[5].astype(np.float64) * 1e6).astype(np.int64)
    np.testing.assert_array_equal(recordings.events(5)["t"], expected)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}])
def test_packed_numbers_and_texts_are_read(tmp_path, options):
    numbers, chunks = np.arange(1000).reshape(10, 100), {"chunks": (3, 7)} if options else {}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("deep/numbers", data=numbers, **chunks, **options)
        file["texts"], file["text"], file["one"] = ["a", "bc"], "word", 3
        file.create_dataset("zeros", (100,), "i8")
        file.attrs["names"], file.attrs["bits"] = ["a", "b"], 4
    with open_hdf5(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(file["deep/numbers"][()], numbers)
        assert file["texts"].asstr()[()].tolist() == ["a", "bc"]
        assert (file["text"][()], file["one"][()], file["zeros"][()].sum()) == (b"word", 3, 0)
        assert [name in file for name in ("deep", "deep/none", "texts/none")] == [True, False, False]
        assert file.attributes()["bits"] == 4


def test_large_attributes_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.net", "w", libver="latest") as file:
        file.create_group("layer/0")
        file.attrs["input_message_bits"] = np.zeros(1 << 20)
    with pytest.raises(PumiceError, match="its attribute input_message_bits is large"):
        read_net(tmp_path / "x.net")


def test_links_in_net_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.net", "w") as file:
        file["layer/0"] = h5py.ExternalLink("/etc/passwd", "layer")
    with pytest.raises(PumiceError, match=r"x\.net .*0 is a link to elsewhere"):
        read_net(tmp_path / "x.net")


def test_pipes_are_refused(tmp_path):
    os.mkfifo(tmp_path / "x.net")
    with pytest.raises(PumiceError, match="it is no file"):
        read_net(tmp_path / "x.net")


def test_damage_that_the_library_tells_is_one_kind_of_error(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spikes/times"] = [1]
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content.replace(b"TREE", b"XREE"))
    with pytest.raises(ValueError, match="B-tree signature"), open_hdf5(tmp_path / "a.h5") as file:
        file.get("spikes/times")


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_texts_of_attributes_are_read_from_any_version(tmp_path, libver):
    """Attributes of one name on several objects, of text and of numbers; more than an object's header holds."""
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        file.attrs["names"], file.attrs["\xe9"] = ["one", "two"], "x" * 5000
        file.create_group("a").attrs["names"] = "alone"
        file.create_group("b").attrs["names"] = np.arange(2**40, 2**40 + 9)
        for number in range(30):
            file["a"].attrs[f"text {number}"] = str(number)
    with open_hdf5(tmp_path / "a.h5") as file:
        assert list(file.attributes()["names"]) == ["one", "two"]
        assert len(file.attributes()["\xe9"]) == 5000
        assert file["a"].attributes() == {"names": "alone"} | {f"text {n}": str(n) for n in range(30)}
        assert file["b"].attributes()["names"][8] == 2**40 + 8
