"""What a user types reaches Hydra as it was meant."""

import string
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from pumice.cli.typed import for_hydra, with_home

LETTERS = string.ascii_letters + string.digits + "äé漢 _-./,()[]{}$#:&;%"


def read(item):
    return OverridesParser.create().parse_override(item)


@given(st.text(LETTERS, min_size=1, max_size=20).filter(lambda text: "${" not in text and text != "null"))
def test_a_path_is_what_was_typed(path):
    (item,) = for_hydra([f"task.root={path}"])
    assert read(item).value() == path


@pytest.mark.parametrize("item", ["seed=3", "training.lr=1e-3", "redo=[train]", "task.sensor=[1,2]", "model=s5/tiny",
                                  "quantize.layers={a.b: {state: 20}}", "run_dir='a b'", "task.root=null", "~task.root",
                                  "run_dir=${nowhere}", "+a.b=true"])  # fmt: skip
def test_what_hydra_reads_stays(item):
    assert for_hydra([item]) == [item] or read(for_hydra([item])[0]).value() == read(item).value()


def test_letters_beyond_ascii_are_text():
    assert read(for_hydra(["model.name=größer"])[0]).value() == "größer"


def test_lists_of_values_are_swept_with_m_alone():
    swept = for_hydra(["-m", "task.root=/a b,/c", "seed=1,2"])
    assert swept == ["-m", "task.root='/a b','/c'", "seed=1,2"]
    assert [read(item).is_sweep_override() for item in swept[1:]] == [True, True]
    assert read(for_hydra(["task.root=/a b,/c"])[0]).value() == "/a b,/c"


def test_flags_stand_before_overrides_with_their_values():
    typed = ["seed=3", "--config-dir", "cfg", "model=s5/tiny", "--cfg", "job", "-m"]
    assert for_hydra(typed) == ["--config-dir", "cfg", "--cfg", "job", "-m", "seed=3", "model=s5/tiny"]


@pytest.mark.parametrize(
    ("typed", "read_as"),
    [
        (["--info", "seed=3"], ["--info=all", "seed=3"]),
        (["seed=3", "-i"], ["--info=all", "seed=3"]),
        (["seed=3", "--info", "defaults"], ["--info=defaults", "seed=3"]),
    ],
)
def test_info_takes_no_override_for_its_kind(typed, read_as):
    assert for_hydra(typed) == read_as


def test_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert with_home(["task.root=~/data", "out=~", "~group", "a=b~c"]) == [
        f"task.root={Path('/home/somebody/data')}",
        "out=/home/somebody",
        "~group",
        "a=b~c",
    ]
