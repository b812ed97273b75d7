"""The Python page says what is so: every block of it runs, on both families."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pumice
import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)


def test_the_page_has_both_families():
    assert sum('"s5/tiny"' in block for block in BLOCKS) == 2
    assert sum('"adlif/tiny"' in block for block in BLOCKS) == 2
    twenty = [block for block in BLOCKS if "load_data" in block]
    assert all(len([line for line in block.splitlines() if line and "import" not in line]) < 30 for block in twenty)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block_runs(block, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "runs" / "spoken-digits" / "s5-tiny-seed0"
    with tarfile.open(TESTS / "golden" / "runs" / "s5.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(PAGE), "exec"), {})
    out = capsys.readouterr().out
    if "compare" in block:
        assert "0 values differ" in out
        assert (tmp_path / "onnx").is_dir()


def test_the_table_names_all_and_nothing_else():
    table = PAGE.read_text().split("## ")[0]
    named = re.findall(
        r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    )
    assert sorted([*named, "__version__"]) == sorted(pumice._WHERE)
