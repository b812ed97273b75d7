"""What a run folder brings back is data in Pumice's own sections; everything else is refused by name."""

import os
import pickle
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from pumice.cli.main import main
from pumice.cli.overrides import with_saved_overrides
from pumice.cli.replay import check_replayed, literal, sections
from pumice.errors import PumiceError


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def remember(folder, overrides, config_dir=None):
    folder.mkdir(exist_ok=True)
    (folder / "overrides.yaml").write_text(yaml.safe_dump({"config_dir": config_dir, "overrides": overrides}))


def replayed(folder, *given):
    return with_saved_overrides([*given, f"run_dir={folder}"])


CODE = "_target_: subprocess.check_output, args: [touch, marker]"
HOSTILE = [
    "hydra.callbacks.x._target_=numpy.load",
    "+hydra.callbacks.x={_target_: numpy.load, file: x.npy, allow_pickle: true}",
    "++hydra.callbacks={x: {_target_: os.mkdir, path: marker}}",
    "hydra/launcher=joblib",
    "+hydra/callbacks=mine",
    "hydra.run.dir=/tmp",
    "hydra.searchpath=[file:///tmp/evil]",
    "hydra={searchpath: [file:///tmp/evil]}",
    "~hydra",
    "+task@hydra.callbacks=mine",
    "task@hydra=shd",
    "model@_global_=s5/tiny",
    "+_target_=os.mkdir",
    "_global_.hydra.verbose=true",
    "+model._target_=os.mkdir",
    "+model.x={" + CODE + "}",
    "+model.x=[[{" + CODE + "}]]",
    "task.root=${oc.env:HOME}",
    "task.root='${oc.env:HOME}'",
    'task.root="x${oc.env:HOME}"',
    r"task.root=$\{oc.env\:HOME\}",
    "task.root=${oc.env:${task.name}}",
    "task.root=${hydra.runtime.cwd}",
    "task.root=${hydra:runtime.cwd}",
    "task.root=${.name}",
    "task.root=${now:%Y}",
    "task.root=${run_dir}",
    "+task.x={'${oc.env:HOME}': 1}",
    "+task.x={a: [1, {b: '${oc.env:HOME}'}]}",
    "task=../../../tmp/evil",
    "task='../evil'",
    "task=/tmp/evil",
    "+task=[shd, ../evil]",
    "model/s5=../tiny",
    "task=pkg://evil",
    "redo=all",
    "run_dirs=x",
    "experiment=mine",
    "seed=0,1",
    "seed=range(1,9)",
    "--config-dir=/tmp/evil",
    "--experimental-rerun=x.pickle",
    "-m",
    "",
    "=",
    "seed",
    17,
    None,
    ["seed=1"],
]


@pytest.mark.parametrize("override", HOSTILE, ids=str)
def test_everything_but_values_of_own_settings_is_refused_by_name(tmp_path, override):
    remember(tmp_path / "run", ["seed=1", override])
    with pytest.raises(PumiceError) as refused:
        replayed(tmp_path / "run")
    sentence = str(refused.value)
    assert sentence.startswith(f"{tmp_path}/run/overrides.yaml ")
    assert "\n" not in sentence
    assert "is damaged" in sentence or repr(override)[:99] in sentence


OWN = [
    "seed=3",
    "task=shd",
    "model=s5/shd-medium",
    "++quantize.layers={cells.0: {synapses: 4}}",
    "model.d_model=8",
    "task.root=/data/my set",
    r"task.root='it\'s'",
    "~task.validation",
    "+task.note={a: [1, 2.5, null, true, x], b: ''}",
    "simulate.backends=[reference,twin]",
    "model.name=${task.name}-x",
    "training.ssm_base_lr=1e-3",
    "target=lava",
]


def test_own_settings_come_back_before_what_is_given(tmp_path):
    remember(tmp_path / "run", [*OWN, "redo=all", "run_dir=elsewhere", "training.epochs=7"])
    with pytest.raises(PumiceError, match="redo"):
        replayed(tmp_path / "run")
    given = ["training.epochs=9", "redo=train"]
    assert replayed(tmp_path / "run", *given) == [*OWN, *given, f"run_dir={tmp_path / 'run'}"]


def test_what_the_command_line_gives_anew_need_not_come_back(tmp_path):
    remember(tmp_path / "run", ["task.root=${oc.env:HOME}"])
    assert replayed(tmp_path / "run", "task.root=here") == ["task.root=here", f"run_dir={tmp_path / 'run'}"]


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.from_regex(r"\Ak[a-z0-9_]{0,5}(\.[0-9])?\Z"), inner, max_size=3)
    ),
    max_leaves=9,
)


@given(PLAIN)
@example("a\\b\\'c\\")
def test_plain_data_survive_the_grammar(value):
    assert OverridesParser.create().parse_override(f"+task={literal(value)}").value() == value


@given(st.text(st.sampled_from("ab_hydra.task${}:@~+=,'\\\"()[]/-| "), max_size=40))
def test_no_text_brings_back_more_than_own_settings(text):
    try:
        check_replayed(text, Path("overrides.yaml"))
    except PumiceError as error:
        sentence = str(error)
    else:
        sentence = ""
        parsed = OverridesParser.create().parse_override(text)
        assert parsed.package is None
        assert parsed.key_or_group.replace("/", ".").split(".")[0] in sections()
        assert "${oc" not in str(parsed.value())
        assert "_target_" not in text
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "content",
    [
        "overrides: [",
        "!!python/object/apply:os.mkdir [marker]",
        "[1, 2]",
        "overrides: 7\nconfig_dir: null",
        "overrides: {a: 1}",
        "overrides: [seed=1]",
        "a: &a [*a]",
        "[" * 5000,
        b"\xff\xfe",
    ],
)
def test_other_records_are_damaged(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overrides.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(PumiceError, match=r"overrides\.yaml is damaged and cannot be read"):
        replayed(tmp_path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("verb", ["report", "evaluate", "run"])
def test_a_pickle_in_a_run_folder_stays_closed(tmp_path, capsys, verb):
    """Tried as it was found: a callback of Hydra's that lets numpy read a pickle beside the record."""
    marker, folder = tmp_path / "marker", tmp_path / "run"
    remember(folder, [f"+hydra.callbacks.x={{_target_: numpy.load, file: '{folder}/x.npy', allow_pickle: true}}"])
    (folder / "x.npy").write_bytes(pickle.dumps(Payload(marker)))
    with pytest.raises(SystemExit) as ended:
        main([verb, f"run_dir={folder}"])
    assert ended.value.code == 2
    assert not marker.exists()
    assert capsys.readouterr().err.startswith(f'pumice: {folder}/overrides.yaml asks for "+hydra.callbacks.x=')


def test_a_folder_of_configurations_is_for_the_command_line(tmp_path, capsys):
    remember(tmp_path / "run", ["task=mine"], config_dir=str(tmp_path / "evil"))
    with pytest.raises(SystemExit) as ended:
        main(["report", f"run_dir={tmp_path / 'run'}"])
    assert ended.value.code == 2
    assert f"asks for the configurations in {tmp_path / 'evil'}" in capsys.readouterr().err
    given = ["--config-dir", str(tmp_path / "evil")]
    assert replayed(tmp_path / "run", *given) == [*given, "task=mine", f"run_dir={tmp_path / 'run'}"]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir [marker]", "!mine {}", "[1", "a: b: c", "\x00"])
def test_a_folder_of_configurations_that_is_no_yaml_is_a_sentence(tmp_path, monkeypatch, capsys, tag):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/training").mkdir(parents=True)
    (tmp_path / "mine/training/short.yaml").write_text(f"epochs: {tag}")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config-dir", "mine", "training=short"])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("pumice: ")
    assert error.count("\n") == 1
    assert "short.yaml" in error
    assert not (tmp_path / "marker").exists()
