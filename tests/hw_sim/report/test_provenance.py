"""In what runs differ, and the command that makes the like."""

from __future__ import annotations

import shlex

import pytest
from pumice.errors import PumiceError
from pumice.hw_sim.report.provenance import artifacts, command, differing
from pumice.records import StageRecord


def test_settings_that_differ_and_no_others():
    one = {"seed": 0, "model": {"name": "s5-tiny", "d_ssm": 8, "head": {"kind": "pool"}, "dropout": None}, "task": {}}
    other = {"seed": 0, "model": {"name": "other", "d_ssm": 16, "head": {"kind": "pool"}, "clip": True, "dropout": 0.5}}
    assert differing([one, other, one]) == [
        {"setting": "model.d_ssm", "values": ["8", "16", "8"]},
        {"setting": "model.dropout", "values": ["null", "0.5", "null"]},
        {"setting": "model.clip", "values": [None, "true", None]},
    ]
    assert differing([one, one]) == []


def test_hardware_is_told_by_its_name_and_what_no_stage_has_read_does_not_differ():
    one, other = ({"hardware": {"name": name, "constants": {"add": size}}} for name, size in (("a", 1), ("b", 2)))
    assert differing([one, {}, other]) == [{"setting": "hardware", "values": ["a", None, "b"]}]
    assert differing([one, {}]) == []


def test_the_command_is_that_of_a_shell(tmp_path):
    assert command(tmp_path) is None
    overrides = ["quantize=w4a8", "task.root='/a folder/$x'", "quantize.layers={a: [1, 2]}"]
    (tmp_path / "overrides.yaml").write_text(
        "overrides:\n" + "".join(f"- {shown}\n" for shown in map(quoted, overrides))
    )
    assert shlex.split(command(tmp_path)) == ["pumice", "run", *overrides]


def quoted(text):
    """As YAML's single quotes hold it."""
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("text", ["overrides: [1, 2]", "overrides", "a: b", "overrides: [a", "overrides: 3"])
def test_damaged_settings_are_one_sentence(tmp_path, text):
    (tmp_path / "overrides.yaml").write_text(text)
    with pytest.raises(PumiceError, match=r"overrides\.yaml is damaged"):
        command(tmp_path)


def test_links_lead_to_files_beside_the_page_alone(tmp_path):
    (tmp_path / "javascript:alert(1)").write_text("12345")
    outputs = {"javascript:alert(1)": "0", "gone.npz": "0"}
    record = StageRecord(stage="train", status="finished", settings={}, inputs={}, outputs=outputs)
    (found,) = artifacts(tmp_path, {"train": record})
    assert found == {"name": "javascript:alert(1)", "link": "javascript%3Aalert%281%29", "bytes": 5, "stage": "train"}
