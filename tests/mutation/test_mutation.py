"""The planted faults still apply to the source, and the runner tells a test that notices from one that does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
sys.path.insert(0, str(FOLDER))
import catalogue  # noqa: E402

ENTRY = '[[fault]]\nname = "{}"\nfile = "sums.py"\nbefore = "{}"\nafter = "{}"\ntests = ["tests/test_sums.py"]\n'


@pytest.fixture
def small(tmp_path):
    """A package of one function with one test, and a folder for faults."""
    (tmp_path / "package" / "tests").mkdir(parents=True)
    (tmp_path / "package" / "sums.py").write_text("def total(values):\n    return sum(values) + 0\n")
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "tests" / "test_sums.py").write_text(
        "import pumice.sums\ndef test_total():\n    assert pumice.sums.total([1, 2]) == 3\n"
    )
    (tmp_path / "faults").mkdir()
    return tmp_path


def run(small, *words):
    command = [sys.executable, FOLDER / "run.py", "--root", small / "package", "--faults", small / "faults"]
    return subprocess.run(
        [*command, "--results", small / "r.json", "--warm", "pytest", *words], capture_output=True, text=True, cwd=small
    )


def test_every_fault_applies_and_names_tests_that_exist():
    assert catalogue.problems(catalogue.read_faults(), ROOT) == []


def test_what_is_wrong_with_a_catalogue_is_said(small):
    (small / "faults" / "a.toml").write_text(
        ENTRY.format("twice", "sum", "max") + ENTRY.format("twice", "values", "v") + ENTRY.format("word", "+ 0", "+ (")
    )
    (small / "faults" / "b.toml").write_text(ENTRY.format("gone", "- 1", "- 2").replace("test_sums.py", "no.py::f"))
    said = "\n".join(catalogue.problems(catalogue.read_faults(small / "faults"), small / "package"))
    for sentence in (
        "twice is there 2 times",
        "occurs 2 times",
        "word: '('",
        "occurs 0 times",
        "no test tests/no.py::f",
    ):
        assert sentence in said


def test_noticed_survived_and_equivalent(small):
    source = (small / "package" / "sums.py").read_text()
    (small / "faults" / "sums.toml").write_text(
        ENTRY.format("one more", "+ 0", "+ 1")
        + ENTRY.format("hidden", "+ 0", "+ 0 * len(values)")
        + ENTRY.format("same", "+ 0", "- 0")
        + 'equivalent = "0 is 0"\n'
    )
    done = run(small)
    assert done.returncode == 1, done.stdout + done.stderr
    kept = {entry["name"]: entry for entry in json.loads((small / "r.json").read_text()).values()}
    assert {name: entry["state"] for name, entry in kept.items()} == {
        "one more": "noticed",
        "hidden": "survived",
        "same": "equivalent",
    }
    assert kept["one more"]["by"] == "test_sums.py::test_total"
    assert "1 of 2 noticed, 1 equivalent" in done.stdout
    assert (small / "package" / "sums.py").read_text() == source

    again = run(small)  # nothing is tried twice
    assert "one more: noticed" not in again.stdout
    assert run(small, "--name", "one").returncode == 0


def test_a_test_that_fails_anyway_notices_nothing(small):
    (small / "package" / "tests" / "test_sums.py").write_text("def test_total():\n    assert False\n")
    (small / "faults" / "sums.toml").write_text(ENTRY.format("one more", "+ 0", "+ 1"))
    done = run(small)
    assert done.returncode == 1
    assert "fails without the fault" in done.stdout
    assert json.loads((small / "r.json").read_text() if (small / "r.json").exists() else "{}") == {}
