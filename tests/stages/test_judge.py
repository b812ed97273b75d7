"""What chose the weights is told truly: nothing is called validation that is not, and nothing chooses unasked."""

import json

import numpy as np
import pytest
from pumice.api.runs import open_run
from pumice.cli.main import main
from pumice.errors import PumiceError
from pumice.train.checkpoint import KeepProgress
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.task import task_config
from pumice.train.evaluate import Predictions, accuracy_by_speaker, figures_of
from pumice.train.fit import check_judged
from pumice.train.settings import TrainingSettings

SHORT = ["training.warmup_epochs=0", "quantize.qat.epochs=1", "quantize.max_dead_zone=1", "logging.csv=true"]


def call(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


@pytest.fixture(scope="module", params=[pytest.param("none", marks=pytest.mark.thorough), "test"])
def ran(request, small_run, tmp_path_factory):
    """The judge, and a folder that was trained, evaluated and quantized under it."""
    folder = tmp_path_factory.mktemp(f"judge-{request.param}")
    settings = [*small_run, *SHORT, f"task.select_on={request.param}", f"run_dir={folder}"]
    for verb in ("train", "evaluate", "quantize"):
        assert call(verb, *settings) == 0
    return request.param, folder


def test_no_figure_is_labelled_validation(ran):
    judge, folder = ran
    figures = json.loads((folder / "metrics.json").read_text())
    assert "validation" not in json.dumps(figures)
    assert figures["train"]["selected_on"] == figures["evaluate"]["selected_on"] == judge
    assert figures["train"]["training_samples"] == 100  # nothing is held out
    assert set(open_run(folder).predictions) == {"test"}
    columns = (folder / "logs" / "csv" / "version_0" / "metrics.csv").read_text().splitlines()[0].split(",")
    assert not [name for name in columns if name.startswith("validation")]
    assert ("test/loss" in columns) == (judge == "test")


def test_the_last_epoch_is_kept_where_nothing_chooses(ran):
    judge, folder = ran
    figures = json.loads((folder / "metrics.json").read_text())
    if judge == "none":
        assert figures["train"]["best"] == {"epoch": 2}
        assert figures["quantize"]["fine_tuning"]["best"]["epoch"] == 1
    else:
        assert figures["train"]["best"]["loss"] > 0


def test_test_samples_choose_no_program(ran):
    _, folder = ran
    choice = json.loads((folder / "metrics.json").read_text())["quantize"]["choice"]
    assert (choice["by"], choice["decisions"]) == ("training", 100)
    assert "training samples, as nothing is held out" in choice["why"]
    kl = {one["candidate"]: one["kl"] for one in choice["candidates"]}
    assert choice["chosen"] == min(kl, key=kl.get)


def test_speakers_are_told(ran):
    _, folder = ran
    said = open_run(folder).predictions["test"]
    assert said.speakers.tolist() == [0] * 20 + [1] * 20
    by_speaker = json.loads((folder / "metrics.json").read_text())["evaluate"]["test"]["accuracy_by_speaker"]
    right = said.logits.argmax(1) == said.labels
    assert by_speaker == {"0": right[:20].mean(), "1": right[20:].mean()}


def test_accuracy_by_speaker():
    logits, labels = np.eye(3)[[0, 1, 2, 0, 1]], np.array([0, 1, 1, 0, 0])
    said = Predictions(logits, labels, np.array([7, 7, 7, 2, 2]))
    assert accuracy_by_speaker(said, said.speakers) == {"2": 0.5, "7": pytest.approx(2 / 3)}
    assert figures_of(said, "abc")["accuracy_by_speaker"]["2"] == 0.5
    assert "accuracy_by_speaker" not in figures_of(Predictions(logits, labels), "abc")


def test_nothing_is_held_out_and_a_plateau_needs_a_judge(small_set):
    values = {"name": "x", "source": "spoken-digits", "root": str(small_set), "num_classes": 20, "sensor": [700]}
    data = EventDataModule(task_config(values | {"select_on": "none"}), batch_size=4)
    assert data.judge is None
    assert data.figure_splits == ("test",)
    assert len(data.train_dataset) == 100
    with pytest.raises(PumiceError, match="holds nothing out for validation"):
        data.samples("validation")
    recipe = {"epochs": 1, "warmup_epochs": 0, "batch_size": 4, "weight_decay": 0.0, "lr": 0.1}
    with pytest.raises(PumiceError, match=r"training\.schedule=plateau goes by the loss of validation"):
        check_judged(data, TrainingSettings(**recipe, schedule="plateau"))
    check_judged(data, TrainingSettings(**recipe))
    judged = EventDataModule(task_config(values), batch_size=4)
    assert (judged.judge, judged.figure_splits) == ("validation", ("validation", "test"))


def test_progress_without_a_judge_is_read_back(tmp_path):
    KeepProgress(tmp_path, 1, {}, None).load_state_dict({"best": {"epoch": 3}})
    with pytest.raises(ValueError, match="best epoch"):
        KeepProgress(tmp_path, 1, {}).load_state_dict({"best": {"epoch": 3}})
