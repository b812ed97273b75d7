"""Folders that came from elsewhere: nothing in them leads out of them."""

import os

import pytest
from pumice.errors import PumiceError
from pumice.files import MAX_TEXT, check_inside, read_json, read_text, remove, remove_partial


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
