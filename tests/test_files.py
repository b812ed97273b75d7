"""Files appear whole or not at all; of folders that came from elsewhere, nothing leads out of them."""

import json
import os

import numpy as np
import pytest
from pumice.archives import load_arrays, save_arrays
from pumice.errors import PumiceError
from pumice.files import (
    MAX_TEXT,
    PARTIAL,
    atomic_path,
    check_inside,
    read_json,
    read_text,
    remove,
    remove_partial,
    write_json,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/keep.txt").write_text("kept")
    (tmp_path / "run/deep/er").mkdir(parents=True)
    (tmp_path / "run/deep/file.txt").write_text("here")
    return tmp_path / "run"


@pytest.mark.parametrize(
    "target", ["/", "/etc/passwd", "../elsewhere", "../elsewhere/keep.txt", "../nowhere", "../run2"]
)
@pytest.mark.parametrize("place", ["link", ".lock", "deep/er/link", ".partial-x"])
def test_links_that_lead_out_are_named(folder, place, target):
    (folder / place).symlink_to(
        target if target.startswith("/") else os.path.relpath(folder / target, (folder / place).parent)
    )
    with pytest.raises(PumiceError, match=f"{folder / place} leads out of the folder"):
        check_inside(folder)


def test_links_within_and_to_the_folder_are_fine(folder, tmp_path):
    (folder / "link").symlink_to("deep/file.txt")
    (folder / "deep/up").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (tmp_path / "alias").symlink_to(folder)
    check_inside(folder)
    check_inside(tmp_path / "alias")


def test_chains_of_links_are_followed_to_their_end(folder):
    (folder / "deep/a").symlink_to("b")
    (folder / "deep/b").symlink_to("../../elsewhere")
    with pytest.raises(PumiceError, match="leads out of the folder"):
        check_inside(folder)


def test_pipes_are_refused(folder):
    os.mkfifo(folder / "deep/pipe")
    with pytest.raises(PumiceError, match="deep/pipe is neither a file nor a folder"):
        check_inside(folder)
    with pytest.raises(PumiceError, match="pipe cannot be read as JSON"):
        read_json(folder / "deep/pipe")


def test_a_link_is_removed_and_not_what_it_leads_to(folder, tmp_path):
    for name in (".partial-a", "deep/.partial-b", "scratch"):
        (folder / name).symlink_to(tmp_path / "elsewhere")
    remove_partial(folder)
    remove(folder / "scratch")
    remove(folder / "not there")
    assert [path.name for path in folder.rglob("*") if path.is_symlink()] == []
    assert (tmp_path / "elsewhere/keep.txt").read_text() == "kept"


def test_long_texts_are_not_read(folder):
    with (folder / "long.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match=f"larger than {MAX_TEXT >> 20} MiB"):
        read_text(folder / "long.json")
    with pytest.raises(PumiceError, match="larger than"):
        read_json(folder / "long.json")


@pytest.mark.parametrize(
    "content", ["NaN", '{"a": [Infinity]}', "-Infinity", "[" * 100_000, "{", "", "1" * 10_000, "\xff"]
)
def test_other_json_is_a_sentence(folder, content):
    (folder / "x.json").write_text(content, encoding="latin-1")
    with pytest.raises(PumiceError, match=r"x\.json cannot be read as JSON"):
        read_json(folder / "x.json")


def test_a_file_appears_whole_under_its_name(tmp_path):
    target = tmp_path / "deep/er/model.onnx"
    with atomic_path(target) as path:
        assert path.suffix == target.suffix
        assert path.parent == target.parent
        assert path.name.startswith(PARTIAL)
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert [entry.name for entry in target.parent.iterdir()] == ["model.onnx"]
    assert target.read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError("wrong"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, error):
    target = tmp_path / "results.json"
    target.write_text("before")

    def write():
        with atomic_path(target) as path:
            path.write_text("half")
            assert target.read_text() == "before"
            raise error

    if isinstance(error, OSError):
        with pytest.raises(PumiceError, match=r"cannot write .*results\.json: No space left on device; choose another"):
            write()
    else:
        with pytest.raises(type(error)):
            write()
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]
    assert target.read_text() == "before"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_written_files_are_as_open_as_the_umask_lets_them(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "x.json", {})
        save_arrays(tmp_path / "x.npz", {"a": np.arange(3)})
        assert os.umask(umask) == umask  # what files are made with is as it was
    finally:
        os.umask(before)
    for name in ("x.json", "x.npz"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~umask


def test_json_is_written_in_one_order_and_without_strange_numbers(tmp_path):
    target = tmp_path / "x.json"
    write_json(target, {"b": [1, None], "a": "é"})
    assert json.loads(target.read_text()) == read_json(target) == {"a": "é", "b": [1, None]}
    assert target.read_text().index('"a"') < target.read_text().index('"b"')
    for strange in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(target, {"figure": strange})
    assert read_json(target)["b"] == [1, None]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_come_back_from_a_file_that_was_there_before(tmp_path, compress):
    target = tmp_path / "found.npz"
    for value in (1, 2):
        arrays = {"codes": np.full((2, 3), value, np.int16), "real": np.asfortranarray(np.eye(3)[:2] * value)}
        save_arrays(target, arrays, compress=compress)
        found = load_arrays(target, "simulate")
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    target.write_bytes(target.read_bytes()[:-40])
    with pytest.raises(PumiceError, match=r"found\.npz cannot be read .* redo=\[simulate\]"):
        load_arrays(target, "simulate")
