"""CIFAR-10 from small files in the published formats, and hostile ones."""

import io
import pickle
import struct

import numpy as np
import pytest
from pumice.api.data import load_data
from pumice.errors import PumiceError
from pumice.train.data.images.cifar import grey, open_cifar10
from pumice.train.data.images.inert_pickle import read_inert_pickle

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def text(value):
    """A short text as Python 2 pickled it."""
    return b"U" + bytes([len(value)]) + value


def python2_pickle(images, labels, kind=b"u1", shape=None, names=(b"numpy.core.multiarray", b"_reconstruct")):
    """The bytes of a published batch: protocol 2, written by Python 2 (numpy's ``__reduce__``)."""
    content = images.tobytes()
    rows, columns = images.shape if shape is None else shape
    out = io.BytesIO()
    out.write(b"\x80\x02}(" + text(b"batch_label") + text(b"testing batch 1 of 1"))
    out.write(text(b"labels") + b"(" + b"".join(b"K" + bytes([label]) for label in labels) + b"l")
    out.write(text(b"data") + b"c" + names[0] + b"\n" + names[1] + b"\ncnumpy\nndarray\n")
    out.write(b"K\x00\x85" + text(b"b") + b"\x87R(K\x01")
    out.write(b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86")
    out.write(b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN")
    out.write(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
    out.write(b"T" + struct.pack("<i", len(content)) + content + b"tb")
    out.write(text(b"filenames") + b"(" + b"".join(text(b"cat_s_1.png") for _ in labels) + b"lu.")
    return out.getvalue()


def batch(number, count=6):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), (np.arange(count) + number) % 10


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        (folder / name).write_bytes(python2_pickle(*batch(number)))
    return tmp_path


def test_our_files_are_what_pickle_reads_as_the_published_ones():
    images, labels = batch(3)
    content = pickle.loads(python2_pickle(images, labels), encoding="bytes")
    assert np.array_equal(content[b"data"], images)
    assert content[b"data"].dtype == np.uint8
    assert content[b"labels"] == labels.tolist()
    assert content[b"filenames"] == [b"cat_s_1.png"] * 6


def test_grey_images_and_labels(root):
    data = load_data("scifar", root=str(root), batch_size=4)
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [27, 3, 6]
    images, labels = batch(5)
    (found,) = data.batches("test", 6)
    red, green, blue = images.reshape(6, 3, 1024).astype(np.float64).transpose(1, 0, 2)
    luma = np.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)
    np.testing.assert_allclose(found.inputs[..., 0], (luma - 122.6) / 61, atol=1e-5)
    assert found.targets[:, 1].tolist() == labels.tolist()
    assert data.class_names[3] == "cat"


def test_grey_is_pillows():
    image = pytest.importorskip("PIL.Image")
    pixels = batch(1, 20)[0]
    for row, found in zip(pixels, grey(pixels), strict=True):
        picture = image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).convert("L")
        assert np.array_equal(np.asarray(picture).reshape(-1), found)


def test_the_binary_version_and_pickles_of_python_3_hold_the_same(root, tmp_path):
    expected = open_cifar10(root, "train")
    for folder, write in (("bin", _write_binary), ("new", _write_python3)):
        other = tmp_path / folder / f"cifar-10-batches-{'bin' if folder == 'bin' else 'py'}"
        other.mkdir(parents=True)
        for number, name in enumerate(NAMES):
            write(other / name, *batch(number))
        for one, same in zip(expected, open_cifar10(tmp_path / folder, "train"), strict=True):
            assert np.array_equal(one, same)


def _write_binary(path, images, labels):
    rows = np.concatenate([labels[:, None].astype(np.uint8), images], axis=1)
    path.with_name(f"{path.name}.bin").write_bytes(rows.tobytes())


def _write_python3(path, images, labels):
    path.write_bytes(pickle.dumps({"data": images, "labels": labels.tolist()}, protocol=4))


def test_missing_files_are_a_sentence(tmp_path):
    with pytest.raises(PumiceError, match=r"data_batch_1 does not exist; set task\.root"):
        load_data("scifar", root=str(tmp_path)).samples("train")


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def hostile():
    images, labels = batch(0)
    good = python2_pickle(images, labels)
    yield "code", pickle.dumps({"data": Evil(), "labels": []}), "names builtins.print"
    yield "other names", python2_pickle(images, labels, names=(b"os", b"system")), "names os.system"
    yield "objects", python2_pickle(images, labels, kind=b"O8"), "not of numbers"
    yield "a shape beyond its bytes", python2_pickle(images, labels, shape=(2**30, 3072)), "does not fit"
    yield "cut off", good[:-2000], "cannot be read"
    yield "a length beyond the file", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"abc.", "cannot be read"
    yield "a cell beyond its operations", b"\x80\x02Nr\xff\xff\xff\x7f.", "memory cells"
    yield "no pickle", b"hello", "cannot be read"
    yield "a list", pickle.dumps([1, 2]), "no array"
    yield "fewer labels", pickle.dumps({"data": images, "labels": [1]}), "do not fit"
    yield "labels that are no numbers", pickle.dumps({"data": images, "labels": ["a"] * 6}), "whole numbers"
    yield "labels beyond the classes", pickle.dumps({"data": images, "labels": [10] * 6}), "0 to 9"
    yield "an array outside of the file", b"\x80\x02U\x01aQ.", "outside"


@pytest.mark.parametrize(("content", "part"), [pytest.param(c, p, id=name) for name, c, p in hostile()])
def test_hostile_files_are_a_sentence(root, capfd, content, part):
    path = root / "cifar-10-batches-py" / "test_batch"
    path.write_bytes(content)
    with pytest.raises(PumiceError, match=part) as caught:
        open_cifar10(root, "test")
    assert str(path) in str(caught.value)
    assert "must not run" not in capfd.readouterr().out


def test_huge_files_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="more than"):
        read_inert_pickle(path)


def test_a_binary_file_of_another_size_is_refused(tmp_path):
    (tmp_path / "test_batch.bin").write_bytes(b"\x00" * 3074)
    with pytest.raises(PumiceError, match="records of 3,073"):
        open_cifar10(tmp_path, "test")
