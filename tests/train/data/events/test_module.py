"""The data module as training and the stages after it use it."""

import lightning
import numpy as np
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import OmegaConf
from pumice import configs
from pumice.errors import PumiceError
from pumice.train.data.events.datamodule import EventDataModule
from pumice.train.data.plan import BatchKey
from pumice.train.data.task import SPLITS, task_config

CONFIGS = configs.__path__[0]


def config(name, **changes):
    with open(f"{CONFIGS}/task/{name}.yaml") as file:
        return yaml.safe_load(file) | changes


@pytest.fixture
def shd(shd_root):
    def build(batch_size=8, seed=0, num_workers=0, bucket_batches=None, **changes):
        task = task_config(config("shd", root=str(shd_root), pad_unit=16) | changes)
        return EventDataModule(task, batch_size, 8, seed, num_workers, bucket_batches)

    return build


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def epoch_of(module, epoch):
    loader = module.train_dataloader()
    loader.plan.set_epoch(epoch)
    return list(loader)


def test_batches_keep_the_contract(shd):
    module = shd(cut_mix=1.0)
    batches = epoch_of(module, 0)
    assert len(batches) == 54 // 8
    mixed = 0
    for batch in batches:
        real = torch.arange(batch.tokens.shape[1]) < batch.lengths[:, None]
        assert batch.tokens.shape[1] % 16 == 0
        assert ((batch.tokens >= 0) == real).all()
        assert batch.tokens.max() < module.vocab == 700
        assert (batch.dt[~real] == 0).all()
        assert (batch.pool_dt[~real] == 0).all()
        assert (batch.dt % 0.5 == 0).all()
        assert batch.targets.shape == (8, 20)
        assert torch.allclose(batch.targets.sum(1), torch.ones(8))
        mixed += int(((batch.targets > 0) & (batch.targets < 1)).any(1).sum())
    assert mixed > 0


def test_batches_do_not_depend_on_workers_or_on_what_was_loaded_before(shd):
    alone, helped = shd(bucket_batches=2), shd(bucket_batches=2, num_workers=2)
    expected = epoch_of(alone, 3)
    helper = helped.train_dataloader()
    for epoch in (0, 3, 3):
        helper.plan.set_epoch(epoch)
        batches = list(helper)
    assert all(map(same, batches, expected))
    assert all(map(same, epoch_of(alone, 3), expected))
    assert not any(map(same, epoch_of(alone, 4), expected))
    assert not any(map(same, epoch_of(shd(bucket_batches=2, seed=1), 3), expected))


def test_the_augmentation_of_a_sample_depends_on_the_epoch_and_not_on_its_batch(shd):
    builder = shd(cut_mix=0.0).train_dataloader().dataset
    first, other_batch, other_epoch = (builder[BatchKey(*key, (3,))] for key in ((0, 0), (0, 5), (1, 0)))
    assert same(first, other_batch)
    assert not torch.equal(first.lengths, other_epoch.lengths) or not torch.equal(first.tokens, other_epoch.tokens)


def test_training_crops_at_random_places_and_evaluation_at_the_end(shd):
    module = shd(cut_mix=0.0, augmentation=None, max_events=30, token="channel")
    places = set()
    for batch in epoch_of(module, 0) + epoch_of(module, 1):
        places.add(tuple(batch.tokens[0, :5].tolist()))
        assert int(batch.lengths.max()) == 30
    starts = {tuple(events["x"][:5].tolist()) for events, _ in module.train_dataset}
    assert len(places - starts) > 5
    first = next(module.batches("test"))
    for row in range(8):
        events, _ = module.test_dataset[row]
        assert first.tokens[row, : first.lengths[row]].tolist() == events["x"][:30].tolist()
        values, times = module.program_samples("test", 8)[row]  # what a program reads is cropped alike
        assert values.tolist() == events["x"][:30].tolist()
        assert times.tolist() == events["t"][:30].tolist()


def test_later_stages_get_samples_in_order_without_augmentation(shd):
    module = shd()
    assert (module.num_classes, module.vocab, module.tick_ms) == (20, 700, 0.5)
    assert module.class_names[:2] == ("word 0", "word 1")
    for split, samples in (
        ("train", module.train_dataset),
        ("validation", module.val_dataset),
        ("test", module.test_dataset),
    ):
        rows = [(b.tokens[i, : b.lengths[i]], b.targets[i]) for b in module.batches(split, 5) for i in range(len(b.dt))]
        assert len(rows) == len(samples)
        for (tokens, target), (events, label) in zip(rows, samples, strict=True):
            assert np.array_equal(tokens.numpy(), events["x"])
            assert target.argmax() == label
            assert target.sum() == 1
    for loader, split in ((module.val_dataloader(), "validation"), (module.test_dataloader(), "test")):
        assert all(map(same, loader, module.batches(split)))


def test_validation_is_disjoint_from_training_and_the_same_for_every_seed(shd):
    first, second = shd(seed=0), shd(seed=9)
    assert np.array_equal(first.val_dataset.indices, second.val_dataset.indices)
    assert len(first.val_dataset) == 6
    assert not set(first.val_dataset.indices) & set(first.train_dataset.indices)


def test_every_split_comes_from_its_own_file(tmp_path, shd_file):
    """The files disagree on purpose: a sample's number of events tells where it is from."""
    for split, count, events in (("train", 70, 40), ("valid", 36, 50), ("test", 35, 60)):
        shd_file(tmp_path / "SSC" / f"ssc_{split}.h5", [events] * count, num_classes=35, seed=events)
        shd_file(tmp_path / "SHD" / f"shd_{split}.h5", [events] * count, seed=events)
        (tmp_path / "SHD" / f"shd_{split}.h5.zip").touch()
    for name, lengths in (
        ("ssc", {"train": 40, "validation": 50, "test": 60}),
        ("shd", {"validation": 40, "test": 60}),
    ):
        module = EventDataModule(task_config(config(name, root=str(tmp_path), augmentation=None, cut_mix=0.0)))
        for split, events in lengths.items():
            assert {len(times) for _, times in module.program_samples(split)} == {events}
            assert {int(n) for batch in module.batches(split) for n in batch.lengths} == {events}
            assert len(module.labels(split)) == len(module.program_samples(split))
        for loader, events in ((module.val_dataloader(), lengths["validation"]), (module.test_dataloader(), 60)):
            assert {int(n) for batch in loader for n in batch.lengths} == {events}
        assert {int(n) for batch in module.train_dataloader() for n in batch.lengths} == {40}


def test_selection_on_the_test_set_holds_nothing_out(shd):
    module = shd(select_on="test")
    assert module.val_dataset is module.test_dataset
    assert len(module.train_dataset) == 60


def test_ssc_uses_its_own_validation_split(tmp_path, shd_file):
    for split, count in (("train", 70), ("valid", 36), ("test", 35)):
        shd_file(tmp_path / "SSC" / f"ssc_{split}.h5", [40] * count, num_classes=35)
    module = EventDataModule(task_config(config("ssc", root=str(tmp_path))))
    assert [len(module.samples(split)) for split in ("train", "validation", "test")] == [70, 36, 35]


def test_dvs_gesture_trains_on_slices_and_evaluates_whole_recordings(dvs_root):
    task = task_config(config("dvs-gesture", root=str(dvs_root), slice_events=64, train_pad_unit=64, pad_unit=512))
    module = EventDataModule(task, batch_size=16)
    assert module.vocab == 32768
    assert len(module.val_dataset) == 20
    assert len(module.train_dataset) > 300
    assert not set(module.val_dataset.indices) & set(module.train_dataset.indices)
    batch = next(iter(module.train_dataloader()))
    assert batch.tokens.shape[1] <= 128
    assert batch.tokens.max() < 32768
    whole = next(module.batches("test", 4))
    assert whole.tokens.shape == (4, 512)
    events, _ = module.test_dataset[0]
    assert len(events) == module.test_dataset.recordings.lengths[0]
    assert whole.tokens[0, 0] == events["x"][0] + 128 * events["y"][0] + 16384 * events["p"][0]


class Recorder(lightning.LightningModule):
    """Notes the batches it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(batch)
        return (self.weight - batch.dt.sum()) ** 2

    def validation_step(self, batch, batch_idx):
        assert batch.tokens.ndim == 2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-9)


def fit(module, folder, epochs=3, resume=None, **options):
    recorder = Recorder()
    keep = ModelCheckpoint(folder, "{step}", every_n_train_steps=1, save_top_k=-1, save_on_train_epoch_end=False)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        **options,
    )
    trainer.fit(recorder, datamodule=module, ckpt_path=resume, weights_only=True)
    return recorder


@pytest.mark.filterwarnings("ignore")
def test_lightning_goes_on_from_any_step_with_the_same_batches(shd, tmp_path):
    whole = fit(shd(), tmp_path / "whole")
    assert len(whole.seen) == 18
    for module, epoch in ((shd(), 0), (shd(), 2)):
        assert all(map(same, whole.seen[6 * epoch :], epoch_of(module, epoch)))
    for step in (1, 5, 6, 7, 12, 15, 17):
        resumed = fit(shd(), tmp_path / "resumed", resume=tmp_path / "whole" / f"step={step}.ckpt")
        assert len(resumed.seen) == 18 - step, step
        assert all(map(same, resumed.seen, whole.seen[step:])), step
        assert torch.equal(resumed.weight, whole.weight)


def test_own_loops_can_resume_too(shd):
    expected = epoch_of(shd(), 2)
    module = shd()
    module.resume_at(2, 4)
    loader = module.train_dataloader()
    loader.plan.set_epoch(2)
    assert all(map(same, loader, expected[4:]))
    assert len(expected[4:]) == 2
    assert loader.state_dict() == {"epoch": 2, "next_batch": 6}


@pytest.mark.parametrize("name", ["shd", "ssc", "dvs-gesture", "spoken-digits"])
def test_configurations_compose_with_hydra(name):
    with initialize_config_dir(f"{CONFIGS}/task", version_base="1.3"):
        composed = compose(name, overrides=["select_on=test", "tick_ms=null", "augmentation.drop_event=null"])
    task = task_config(OmegaConf.to_container(composed, resolve=True))
    assert task.name == name
    assert task.tick_ms is None
    assert len(task.build_augmentation().transforms) == len(composed.augmentation) - 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pad_units": 3}, "task.pad_units is unknown"),
        ({"validation": {"share": 0.1}}, "task.validation.share is unknown"),
        ({"validation": {"by": "sample", "fraction": 1.5}}, "fraction=1.5"),
        ({"validation": {"by": "voice"}}, "validation.by=voice"),
        ({"pairing": "previous"}, "choose one of causal, next"),
        ({"select_on": "train"}, "select_on=train"),
        ({"tick_ms": 0.0001}, "tick_ms=0.0001"),
        ({"cut_mix": 2}, "cut_mix=2"),
        ({"pad_unit": 0}, "pad_unit=0"),
        ({"max_events": 1.5}, "max_events=1.5"),
        ({"token": "pixel"}, "does not fit the sensor"),
        ({"sensor": None}, "task.sensor is missing"),
        ({"augmentation": {"drop": {}}}, "task.augmentation.drop is unknown"),
    ],
)
def test_wrong_tasks_are_refused(changes, named):
    with pytest.raises(PumiceError, match=named):
        task_config(config("shd") | changes)


def test_wrong_modules_are_refused(shd):
    with pytest.raises(PumiceError, match="batch_size=0"):
        shd(batch_size=0)
    with pytest.raises(PumiceError, match="seed=-1"):
        shd(seed=-1)
    with pytest.raises(PumiceError, match="smaller batch"):
        shd(batch_size=100).train_dataloader()
    with pytest.raises(PumiceError, match="split=dev"):
        shd().samples("dev")
    with pytest.raises(PumiceError, match="choose sample or speaker"):
        _ = shd(validation={"by": "own"}).train_dataset


def test_the_embedded_set_is_heard_by_new_voices_in_every_split():
    module = EventDataModule(task_config(config("spoken-digits")), batch_size=16, bucket_batches=8)
    splits = [module.samples(split) for split in SPLITS]
    voices = [set(samples.recordings.speakers[samples.indices].tolist()) for samples in splits]
    assert not voices[0] & voices[1]
    assert not voices[0] & voices[2]
    assert not voices[1] & voices[2]
    assert all(set(samples.labels.tolist()) == set(range(20)) for samples in splits)
    assert module.class_names[0] == "zero"
    assert module.class_names[19] == "neun"
    batch = next(iter(module.train_dataloader()))
    assert batch.lengths.min() > 100


def test_an_own_build_of_the_embedded_set_is_read_from_its_folder(tmp_path, shd_file):
    for split in ("train", "test"):
        shd_file(tmp_path / f"{split}.h5", [50] * 40)
    module = EventDataModule(task_config(config("spoken-digits", root=str(tmp_path))))
    assert len(module.train_dataset) + len(module.val_dataset) == 40
    (tmp_path / "test.h5").unlink()
    with pytest.raises(PumiceError, match="pumice data build"):
        _ = EventDataModule(module.task).test_dataset


def test_samples_that_fill_no_window_are_named(shd):
    module = shd()
    lengths, numbers = module.train_dataset.lengths, module.train_dataset.indices
    assert module.check_windows(int(lengths.min())) is None
    note = module.check_windows(int(lengths.min()) + 1)
    first = int(lengths.argmin())
    count = int((lengths == lengths.min()).sum())
    assert note.startswith(f"{count} of {len(lengths)} training samples have fewer events than the model's window of")
    assert f"recording {numbers[first]} of {module.train_dataset.recordings.name} with {lengths[first]};" in note
    longest = int(lengths.argmax())
    with pytest.raises(PumiceError, match=rf"window of 500 events, the longest is recording {numbers[longest]} with"):
        module.check_windows(500)
    assert shd(pairing="next").check_windows(int(lengths.min())).startswith(f"{count} of")
    with pytest.raises(PumiceError, match=r"window of 64 events.*raise task\.max_events"):
        shd(max_events=63).check_windows(64)
