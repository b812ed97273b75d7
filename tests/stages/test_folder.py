"""A run folder is data: what leads out of it is neither read nor written nor deleted."""

import json
import os

import pytest
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.stages.folder import RunFolder, open_run_folder
from pumice.stages.table import STAGES


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("kept")
    return tmp_path / "secret"


@pytest.mark.parametrize(
    "name", ["checkpoints", "lava", "onnx", "stages", "logs", ".lock", "metrics.json", "config.yaml"]
)
@pytest.mark.parametrize(
    "verb", ["run redo=all", "train redo=train", "export target=lava redo=all", "report", "evaluate"]
)
def test_links_out_of_the_folder_are_refused(tmp_path, secret, capsys, name, verb):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/overrides.yaml").write_text("overrides: []\nconfig_dir: null\n")
    (tmp_path / "run" / name).symlink_to(secret)
    with pytest.raises(SystemExit) as ended:
        main([*verb.split(), f"run_dir={tmp_path / 'run'}"])
    assert ended.value.code == 2
    assert f"run/{name} leads out of the folder" in capsys.readouterr().err
    assert [path.name for path in secret.iterdir()] == ["file"]


def test_compared_folders_too(tmp_path, secret, capsys):
    for name in "ab":
        (tmp_path / name).mkdir()
    (tmp_path / "b/stages").symlink_to(secret)
    with pytest.raises(SystemExit) as ended:
        main(["report", str(tmp_path / "a"), str(tmp_path / "b"), f"out={tmp_path}"])
    assert ended.value.code == 2
    assert "b/stages leads out of the folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../secret/file", "/etc/passwd", "a/../../secret/file"])
def test_records_name_files_of_the_folder_alone(tmp_path, secret, name):
    (tmp_path / "run/stages").mkdir(parents=True)
    entries = {"stage": "train", "status": "finished", "settings": {}, "inputs": {}, "figures": {}}
    (tmp_path / "run/stages/train.json").write_text(json.dumps({**entries, "outputs": {name: "0" * 64}}))
    with pytest.raises(PumiceError, match=r"train\.json is damaged"):
        RunFolder(tmp_path / "run", {}).check_outputs()


@pytest.mark.parametrize("content", ["[1]", "3", "NaN", "null"])
def test_figures_that_are_none_are_a_sentence(tmp_path, content):
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(PumiceError, match=r"metrics\.json"):
        RunFolder(tmp_path, {}).finish(STAGES[-1], {}, 1.0)


def test_scratch_that_is_a_link_is_removed_as_a_link(tmp_path):
    with open_run_folder(tmp_path / "run", {}) as folder:
        (folder.path / "kept").mkdir()
        (folder.path / "kept/file").write_text("kept")
        os.symlink("kept", folder.path / "checkpoints")
        folder.forget(STAGES[0])
        assert not (folder.path / "checkpoints").is_symlink()
        assert (folder.path / "kept/file").read_text() == "kept"
