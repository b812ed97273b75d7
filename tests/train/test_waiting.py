"""No step of a training waits for its device: on one without data there is nothing to wait for, and asking it fails."""

import contextlib
from functools import partial

import pytest
import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector
from pumice.errors import PumiceError
from pumice.models.adlif.config import AdLIFConfig
from pumice.models.adlif.network import AdLIFNetwork
from pumice.models.host import knowing
from pumice.models.real_s5.build import build_real_s5
from pumice.models.s5.build import build_s5
from pumice.models.spikings5.build import build_spikings5
from pumice.models.spikingssm.build import build_spikingssm
from pumice.models.spikingssm.network import real_steps
from pumice.quantize.distillation.teacher import TaughtBatch
from pumice.train import fit as fit_module
from pumice.train.data.batch import check_vocabulary
from pumice.train.data.events.batch import EventBatch
from pumice.train.data.listed import ListedData
from pumice.train.data.sequences.batch import BlockBatch, SeriesBatch, chosen, counted, counted_rows
from pumice.train.data.sequences.stepwise import EventBlockBatch
from pumice.train.module import ClassifierModule
from pumice.train.settings import LoggingSettings, SystemSettings, TrainingSettings
from pumice.train.torch_archive import read_torch
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

META = torch.device("meta")
BATCHES = 4
LENGTHS = torch.tensor([21, 13, 2])
PLAIN = {"warmup_epochs": 0, "schedule": "constant", "batch_size": 3, "weight_decay": 0.01, "lr": 0.01}
RECIPE = {**PLAIN, "epochs": 2, "warmup_epochs": 1, "accumulate": 2}
RECIPE |= {"gradient_clip": 0.5, "ema_decay": 0.9, "sparsity": 0.5, "sparsity_from": 0.0, "checkpoint_every_steps": 99}
SPIKING = {"activity": 1.0, "activity_lower": 0.1, "activity_upper": 0.2}


class Waits(TorchDispatchMode):
    """Remembers what copies more than a number from one device to another, and what asks for values."""

    ASKING = ("_local_scalar_dense", "is_nonzero", "nonzero", "item", "equal", "bincount", "_unique2", "masked_select")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        name = function.overloadpacket.__name__
        tensors = [part for part in arguments if isinstance(part, torch.Tensor)]
        meta = [part for part in tensors if part.device == META]
        copies = name in ("_to_copy", "copy_") and len({tensor.device for tensor in (*tensors, result)}) > 1
        if copies or (name in self.ASKING and meta):
            self.found.append(name)
        return result


class Nowhere(SingleDeviceStrategy):
    """A device without data."""

    def __init__(self):
        super().__init__(device=META)

    def setup_environment(self):
        pass

    def reduce(self, tensor, *arguments, **options):
        return torch.tensor(BATCHES)  # what Lightning asks for before it begins: how many batches there are

    def teardown(self):
        pass


def steps_batch(tokens=False, whole=False):
    generator = torch.Generator().manual_seed(3)
    lengths = torch.full((3,), 21) if whole else LENGTHS
    real = torch.arange(21) < lengths.unsqueeze(1)
    inputs = torch.randint(6, (3, 21), generator=generator) if tokens else torch.randn(3, 21, 4, generator=generator)
    inputs = inputs * (real if tokens else real.unsqueeze(2))
    return BlockBatch(inputs, real.long(), torch.tensor([[-1, 0], [-1, 1], [-1, 2]]), lengths)


def events_batch(tokens=True):
    generator = torch.Generator().manual_seed(3)
    padding = torch.arange(21) >= LENGTHS.unsqueeze(1)
    values = torch.randint(6, (3, 21), generator=generator).masked_fill(padding, -1)
    values = values if tokens else torch.randn(3, 21, 4, generator=generator)
    dt = (torch.rand(3, 21, generator=generator) * 5).masked_fill(padding, 0)
    return EventBatch(values, dt, dt, LENGTHS, torch.eye(3))


def event_blocks():
    batch, blocks = events_batch(), steps_batch()
    return EventBlockBatch(batch.tokens, batch.dt, LENGTHS, blocks.blocks, blocks.targets, 4)


def series_batch():
    series = torch.randn(3, 12, 4, generator=torch.Generator().manual_seed(3))
    return SeriesBatch(series[:, :-1], series[:, 1:], torch.tensor(6))


def adlif(**settings):
    config = {"num_classes": 3, "in_features": 4, "hidden": 6, "dropout": 0.1} | settings
    return AdLIFNetwork(AdLIFConfig(**config), torch.Generator().manual_seed(0))


EVENTS = {"d_model": 8, "d_ssm": 8, "stride": 4, "dropout": 0.1}
STEPS = {"d_model": 8, "d_state": 8, "layers": 2, "dropout": 0.1}
s5 = partial(build_s5, num_classes=3, seed=0)
ssm = partial(build_spikingssm, num_classes=3, seed=0)
CASES = {
    "s5": (lambda: s5(EVENTS, vocab=6), events_batch, {}),
    "s5, batch norm": (lambda: s5({**EVENTS, "norm": "batch"}, vocab=6), events_batch, {}),
    "s5, dense": (lambda: s5({**EVENTS, "discretization": "zoh"}, in_features=4), partial(events_batch, False), {}),
    "s5, steps": (lambda: s5({**EVENTS, "stages": 1, "head": "steps"}, vocab=6), event_blocks, {}),
    "real-s5": (lambda: build_real_s5({"d_model": 8, "d_ssm": 8}, num_classes=3, vocab=6, seed=0), events_batch, {}),
    "spikings5": (lambda: build_spikings5(EVENTS, num_classes=3, vocab=6, seed=0), events_batch, SPIKING),
    "adlif": (adlif, steps_batch, SPIKING),
    "adlif, series": (lambda: adlif(num_classes=4, dropout=0.0), series_batch, {}),
    "ef-adlif": (lambda: adlif(cell="ef-adlif", q=60), steps_batch, SPIKING),
    "lif": (lambda: adlif(cell="lif"), steps_batch, SPIKING),
    "cuba-lif": (lambda: adlif(cell="cuba-lif"), steps_batch, SPIKING),
    "lstm": (lambda: adlif(cell="lstm"), steps_batch, {}),
    "spikingssm": (lambda: ssm(STEPS, in_features=4), steps_batch, SPIKING),
    "spikingssm, batch norm": (lambda: ssm({**STEPS, "norm": "batch"}, vocab=6), partial(steps_batch, True, True), {}),
}


def train(model, batch, folder, recipe=RECIPE, count=BATCHES, make=ClassifierModule, accelerator="cpu"):
    torch.set_num_threads(1)
    data = ListedData([batch] * count, [batch], 3)
    data.regression = isinstance(batch, SeriesBatch)
    logs = LoggingSettings(csv=True, tensorboard=False, progress=True)
    system, settings = SystemSettings(accelerator=accelerator), TrainingSettings(**recipe)
    return fit_module.fit(
        model, data, folder, training=settings, system=system, logs=logs, seed=0, info={}, make=make, anew=True
    )


@pytest.mark.parametrize("case", CASES)
def test_an_epoch_asks_nothing_of_its_device(case, tmp_path, monkeypatch):
    """The first question is the one at its end, by which all of its steps have been taken."""
    build, batch, more = CASES[case]
    seen, waits, step = [], Waits(), ClassifierModule.optimizer_step

    def ended(module):
        raise PumiceError("asked")

    def stepped(module, *arguments, **options):
        with waits if seen else contextlib.nullcontext():  # the first one sends what stays there
            step(module, *arguments, **options)
        assert {parameter.device for parameter in module.parameters()} == {META}
        seen.append(module.global_step)

    monkeypatch.setattr(fit_module, "strategy_of", lambda system: Nowhere())
    monkeypatch.setattr(_LoggerConnector, "teardown", lambda connector: None)  # it would copy what was logged
    monkeypatch.setattr(ClassifierModule, "check_finite", ended)
    monkeypatch.setattr(ClassifierModule, "optimizer_step", stepped)
    with pytest.raises(PumiceError, match="asked"):
        train(build(), batch(), tmp_path, RECIPE | more)
    assert seen == [0, 1]
    assert not waits.found


def test_what_waits_is_noticed():
    """The test above would see it."""
    value = torch.zeros(3, device=META)
    with Waits() as waits:
        value + torch.zeros(3).to(META)
    assert len(waits.found) == 1
    for asks in (
        lambda: value.sum().item(),
        lambda: bool(value.any()),
        value.cpu,
        value.nonzero,
        lambda: value[value > 0],
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            asks()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_steps_on_a_gpu_wait_for_nothing(tmp_path, monkeypatch):
    step, taken = ClassifierModule.optimizer_step, []

    def stepped(module, *arguments, **options):
        torch.cuda.set_sync_debug_mode("error" if taken else "default")  # the first one sets up what all of them use
        try:
            step(module, *arguments, **options)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        taken.append(module.device.type)

    monkeypatch.setattr(ClassifierModule, "optimizer_step", stepped)
    for number, (build, batch, more) in enumerate(CASES.values()):
        train(build(), batch(), tmp_path / str(number), RECIPE | more, accelerator="gpu")
        assert taken == ["cuda"] * 4
        taken.clear()


class Diverges(nn.Module):
    """Gives NaN when it is trained for the ``at``-th time."""

    def __init__(self, at):
        super().__init__()
        torch.manual_seed(0)
        self.decoder, self.at, self.steps = nn.Linear(4, 3), at, 0

    def forward(self, inputs, blocks, count):
        self.steps += self.training
        answer = self.decoder(inputs[:, :count])
        return answer * float("nan") if self.training and self.steps == self.at else answer


def deferred(every):
    """A module that looks every so many batches, as on a device."""

    def make(*arguments):
        module = ClassifierModule(*arguments)
        module.look_every = every
        return module

    return make


@pytest.mark.parametrize(("every", "steps"), [(99, 8), (None, 6), (3, 7), (2, 6)])
def test_divergence_is_told_later_by_the_same_sentence(every, steps, tmp_path):
    """Batch 2 of epoch 2; at its end at the latest."""
    model = Diverges(at=6)
    with pytest.raises(PumiceError) as told:
        train(model, steps_batch(), tmp_path, {**PLAIN, "epochs": 3}, make=deferred(every))
    assert str(told.value) == (
        "the training loss is nan in epoch 2, batch 2; lower training.lr or set training.gradient_clip"
    )
    assert model.steps == steps


@pytest.mark.parametrize("judge", ["validation", None])
@pytest.mark.parametrize("every_steps", [1, 99])
def test_nothing_of_a_diverged_epoch_is_kept(judge, every_steps, tmp_path, monkeypatch):
    monkeypatch.setattr(ListedData, "judge", judge)
    recipe = {**PLAIN, "checkpoint_every_steps": every_steps}
    train(Diverges(at=99), steps_batch(), tmp_path / "good", {**recipe, "epochs": 1})
    with pytest.raises(PumiceError, match=r"nan in epoch 2, batch 1"):
        train(Diverges(at=5), steps_batch(), tmp_path / "bad", {**recipe, "epochs": 2}, make=deferred(99))
    best = [load_file(tmp_path / name / "checkpoints/best.safetensors") for name in ("good", "bad")]
    assert all(torch.equal(value, best[1][name]) for name, value in best[0].items())
    last = [read_torch(tmp_path / name / "checkpoints/last.ckpt") for name in ("good", "bad")]
    assert last[0]["global_step"] == last[1]["global_step"] == 4


def test_an_epoch_begins_without_what_the_last_one_said(tmp_path):
    """A module that is trained again, as after lowering its rate, is judged by what it does then."""
    module = ClassifierModule(Diverges(at=1), 3, TrainingSettings(**PLAIN, epochs=1), 4, 0)
    module._remember(torch.tensor(float("inf")), 2)
    module._remember(torch.tensor(float("nan")), 3)
    with pytest.raises(PumiceError, match="loss is inf in epoch 1, batch 3"):
        module.check_finite()
    module.on_train_epoch_start()
    module.check_finite()


@pytest.mark.parametrize("batch", [steps_batch, event_blocks, partial(steps_batch, True, True)])
def test_what_the_host_knew_is_what_the_device_would_say(batch):
    there, here = batch().to(META), batch()
    assert there.rows.device == META
    rows = counted_rows(here.targets)
    logits = torch.randn(*here.targets.shape, 5)
    for one, two in zip(chosen(logits, here.targets, rows), chosen(logits, here.targets, None), strict=True):
        assert torch.equal(one, two)
    assert len(there.rows) == len(rows) == int(counted(here.targets).sum())
    if isinstance(here, BlockBatch):
        assert there.whole is bool((here.blocks[:, -1] > 0).all())
        with knowing(whole=there.whole):
            assert (real_steps(there.blocks) is None) is (real_steps(here.blocks) is None)
    assert here.to("cpu").rows is None


def test_tokens_are_looked_at_before_they_leave():
    batch, model = events_batch(), s5(EVENTS, vocab=5)
    there = batch.to(META)
    assert int(batch.tokens.max()) == 5
    for given in (batch, TaughtBatch(batch, {}), steps_batch(True)):
        with pytest.raises(PumiceError, match="tokens span 0 to 5, but the model knows 0 to 4"):
            check_vocabulary(given, model)
    check_vocabulary(batch, s5(EVENTS, vocab=6))
    check_vocabulary(events_batch(False), model)
    with pytest.raises(RuntimeError, match="meta"):
        there.apply(model.to(META))
    with knowing(tokens=True):
        there.apply(model)
        with pytest.raises(PumiceError, match="tokens span"):
            batch.apply(s5(EVENTS, vocab=5))


def test_a_training_tells_of_tokens_before_they_leave(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "strategy_of", lambda system: Nowhere())
    monkeypatch.setattr(_LoggerConnector, "teardown", lambda connector: None)
    with pytest.raises(PumiceError, match="tokens span 0 to 5, but the model knows 0 to 4"):
        train(s5(EVENTS, vocab=5), events_batch(), tmp_path)
