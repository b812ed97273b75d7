"""ECG files in their true format, both protocols, and a run of the command line on them."""

import json

import numpy as np
import pytest
import torch
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.train.data.sequences.datamodule import SequenceDataModule
from pumice.train.data.sequences.kinds import sequence_task
from scipy.io import savemat

STEPS = 40


@pytest.fixture
def root(tmp_path, write_ecg):
    write_ecg(tmp_path / "QTDB_train.mat", 60, seed=1)
    write_ecg(tmp_path / "QTDB_test.mat", 20, seed=2)
    return tmp_path


def ecg(root, **values):
    return SequenceDataModule(sequence_task({"kind": "ecg", "name": "ecg", "root": str(root)} | values), batch_size=8)


def test_both_protocols(root, write_ecg):
    x, y = write_ecg(root / "QTDB_test.mat", 20, seed=2)
    for unlabelled in ("first-class", "ignore"):
        data = ecg(root, unlabelled=unlabelled)
        batch = next(iter(data.batches("test", batch_size=20)))
        assert torch.equal(batch.inputs, torch.from_numpy(x.astype(np.float32)))
        assert batch.blocks.tolist() == [list(range(1, STEPS + 1))] * 20
        assert (batch.targets[:, 0] == -1).all()
        for sample in range(20):
            for step in range(STEPS):
                (labels,) = np.nonzero(y[sample, step])
                expected = labels[0] if len(labels) else (0 if unlabelled == "first-class" else -1)
                assert batch.targets[sample, step + 1] == expected
        (name, other), *_ = data.other_protocols().items()
        assert name == {"first-class": "labelled steps", "ignore": "all steps"}[unlabelled]
        assert other.task.unlabelled != unlabelled


def test_splits(root):
    data = ecg(root, validation={"by": "sample", "fraction": 0.05})
    assert [len(data.samples(split)) for split in ("train", "validation", "test")] == [57, 3, 20]
    on_test = ecg(root, select_on="test")
    assert len(on_test.train_dataset) == 60
    assert on_test.val_dataset is on_test.test_dataset
    held = {tuple(row.ravel()) for row in data.val_dataset.inputs}
    assert not held & {tuple(row.ravel()) for row in data.train_dataset.inputs}


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"x": np.zeros((4, STEPS, 3), np.int16)}, "shape"),
        ({"x": np.full((4, STEPS, 4), 2, np.int16)}, "delta coded"),
        ({"y": np.ones((4, STEPS, 6), np.uint8)}, "delta coded"),
        ({"y": np.zeros((4, STEPS - 1, 6), np.uint8)}, "shape"),
    ],
)
def test_other_content_is_refused(tmp_path, write_ecg, changes, part):
    write_ecg(tmp_path / "QTDB_test.mat", 4, **changes)
    with pytest.raises(PumiceError, match=part):
        ecg(tmp_path).samples("test")


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(PumiceError, match=r"set task\.root"):
        ecg(tmp_path).samples("test")
    (tmp_path / "QTDB_test.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(PumiceError, match="cannot be read"):
        ecg(tmp_path).samples("test")
    (tmp_path / "QTDB_test.mat").write_bytes(b"no such thing")
    with pytest.raises(PumiceError, match="cannot be read"):
        ecg(tmp_path).samples("test")
    savemat(tmp_path / "whole.mat", {"x": np.zeros((9, 9, 4)), "y": np.zeros((9, 9, 6))}, do_compression=True)
    whole = (tmp_path / "whole.mat").read_bytes()
    for length in range(1, len(whole), 7):
        (tmp_path / "QTDB_test.mat").write_bytes(whole[:length])
        with pytest.raises(PumiceError, match=r"QTDB_test\.mat"):
            ecg(tmp_path).samples("test")
    with pytest.raises(PumiceError, match=r"task\.root"):
        SequenceDataModule(sequence_task({"kind": "ecg", "name": "ecg"})).samples("test")


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


def test_train_and_evaluate(root, tmp_path):
    folder = tmp_path / "run"
    overrides = ["task=ecg", f"task.root={root}", "task.validation.fraction=0.2", "model=adlif/ecg", "model.layers=1"]
    overrides += ["training=adlif-ecg", "training.epochs=12", "training.batch_size=8", "model.surrogate_scale=0.4"]
    overrides += ["model.dropout=0", "logging.tensorboard=false", "system.threads=1", f"run_dir={folder}"]
    assert command("train", *overrides) == 0
    assert command("evaluate", f"run_dir={folder}") == 0
    metrics = json.loads((folder / "metrics.json").read_text())
    test = metrics["evaluate"]["test"]
    assert metrics["train"]["parameters"] == 1842
    assert test["samples"] == 20 * STEPS
    labelled = metrics["evaluate"]["other_protocols"]["labelled steps"]["test"]
    assert 0.8 * 20 * STEPS < labelled["samples"] < 20 * STEPS
    assert labelled["accuracy"] > 0.4  # chance is 0.17
    with np.load(folder / "predictions.npz") as arrays:
        right = arrays["test_logits"].argmax(1) == arrays["test_labels"]
    assert right.mean() == pytest.approx(test["accuracy"])


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["task=ecg"], "task ecg has not one label a sequence"),
        (["model=adlif/tiny"], "the model reads sequences, but task spoken-digits gives events"),
        (["task=ecg", "model=adlif/ecg", "task.unlabelled=guess"], "task.unlabelled=guess"),
        (["task=ecg", "model=adlif/ecg", "+task.wings=2"], "task.wings is unknown"),
        (["task=bsd", "model=adlif/bsd", "task.samples=-1"], "task.samples=-1"),
        (["task=bsd", "model=adlif/bsd", "training=adlif-bsd", "training.schedule=steps"], "training.schedule=steps"),
        (["task=bsd", "model=adlif/bsd", "training=adlif-bsd", "training.lr=null"], "training.ssm_base_lr"),
        (["task=bsd", "model=adlif/bsd", "training=adlif-bsd", "+training.lr_factor=2"], "training.lr alone"),
    ],
)
def test_mistakes_are_sentences(capsys, tmp_path, overrides, part):
    assert command("train", *overrides, f"run_dir={tmp_path / 'run'}") == 2
    assert part in capsys.readouterr().err
