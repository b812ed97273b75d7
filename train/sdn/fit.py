"""Training of surrogate dynamic networks: resumable, with the same bits for the same seed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ...errors import PumiceError
from ...models.sdn.trainable import SDNConfig, TrainableSDN
from ..sealed import write_sealed
from ..torch_archive import read_torch, reason_of, write_torch
from .dataset import SDNData

LAST, BEST = "last.ckpt", "best.safetensors"
KIND, FORMAT = "trainable sdn", 1
MOST_BYTES = 1 << 27
"""Of a checkpoint."""
KEEP_SECONDS = 30.0
"""Between checkpoints within an epoch."""


@dataclass(frozen=True, kw_only=True)
class TrainSettings:
    """How a network is trained; the defaults are the published ones.

    Attributes:
        config: sizes of the network.
        lr: of AdamW; a cosine over all steps brings it to zero.
        weight_decay: of AdamW.
        epochs: passes over the training sequences.
        batch_size: sequences a step.
        beta: where the smooth L1 loss goes from squared to absolute errors.
        near: how much more an error counts where the neuron comes within tau of its threshold; 0 published.
        validation: share of the sequences that choose the best epoch.
        seed: of weights, split and order.
        device: where it is trained.

    Raises:
        PumiceError: a value outside its range.
    """

    config: SDNConfig = field(default_factory=SDNConfig)
    lr: float = 0.01
    weight_decay: float = 0.01
    epochs: int = 100
    batch_size: int = 64
    beta: float = 1.0
    near: float = 0.0
    validation: float = 0.1
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, low in {"lr": 0, "weight_decay": -1, "beta": 0, "near": -1}.items():
            value = getattr(self, name)
            if not (isfinite(value) and value > low and value >= 0):
                raise PumiceError(f"{name}={value} has to be {'above' if low == 0 else 'at least'} 0; change it")
        if self.epochs < 1 or self.batch_size < 1:
            raise PumiceError(f"epochs={self.epochs} and batch_size={self.batch_size} have to be at least 1")
        if not 0 < self.validation < 1:
            raise PumiceError(f"validation={self.validation} has to lie between 0 and 1; change it")


@dataclass(frozen=True)
class EpochFigures:
    """One epoch: mean training loss, loss and mean absolute error on the validation sequences, and seconds."""

    epoch: int
    training_loss: float
    validation_loss: float
    validation_mae: float
    seconds: float


Report = Callable[[EpochFigures], None]
Advance = Callable[[int, int], None]


def fit(
    data: SDNData,
    folder: Path,
    settings: TrainSettings,
    inputs: dict[str, str],
    report: Report = lambda figures: None,
    advance: Advance = lambda step, steps: None,
) -> dict[str, Any]:
    """Train a network, or go on with one; ``best.safetensors`` in ``folder`` holds the best epoch's weights.

    ``last.ckpt`` beside it is written at the end of epochs and every half minute; the next call goes on from there,
    and gives the bits of an undisturbed one.

    Args:
        data: training sequences, of which some are kept for validation.
        folder: where the files go.
        settings: how it is trained.
        inputs: SHA-256 of the files of ``data`` by name, which a checkpoint has to have as well.
        report: called after each epoch.
        advance: called after each step with its number and that of all steps.

    Returns:
        figures of the best epoch.

    Raises:
        PumiceError: too few sequences, a checkpoint of other settings or damaged, or losses that are not finite.
    """
    training, validation = _split(len(data.drive), settings)
    device = torch.device(settings.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = TrainableSDN(settings.config).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    batches = ceil(len(training) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * batches)
    about = {"settings": asdict(settings), "inputs": inputs, "tau": data.tau}
    state = _resumed(folder / LAST, about, network, optimizer, schedule)
    step, total, kept = int(state["step"]), float(state["total"]), time.monotonic()
    for epoch in range(step // batches, settings.epochs):
        began = time.monotonic()
        order = training[torch.randperm(len(training), generator=_generator(settings.seed, epoch))]
        for rows in order.split(settings.batch_size)[step - epoch * batches :]:
            total += _step(network, optimizer, schedule, *_rows(data, rows, device), data.tau, settings)
            step += 1
            advance(step, settings.epochs * batches)
            within = step < (epoch + 1) * batches  # the validation follows there, which comes before a checkpoint
            if within and time.monotonic() - kept > KEEP_SECONDS:
                _keep(folder / LAST, about, network, optimizer, schedule, {**state, "step": step, "total": total})
                kept = time.monotonic()
        loss, mae = _validate(network, data, validation, device, settings)
        figures = EpochFigures(epoch + 1, total / batches, loss, mae, time.monotonic() - began)
        report(figures)
        if not isfinite(loss):
            raise PumiceError(f"the loss became {loss} in epoch {epoch + 1}; lower lr")
        if state["best"] is None or loss < state["best"]["validation_loss"]:
            best = {name: value for name, value in asdict(figures).items() if name != "seconds"}
            state = {**state, "best": best}
            write_sealed(folder / BEST, network.state_dict(), {"kind": KIND, "format": FORMAT, **about, "best": best})
        total = 0.0
        _keep(folder / LAST, about, network, optimizer, schedule, {**state, "step": step, "total": total})
        kept = time.monotonic()
    best_figures: dict[str, Any] = state["best"]
    return best_figures


def _split(sequences: int, settings: TrainSettings) -> tuple[Tensor, Tensor]:
    """Rows for training and for validation."""
    kept = max(1, round(sequences * settings.validation))
    if sequences - kept < 1:
        raise PumiceError(f"{sequences} sequences leave none for training beside validation; generate more samples")
    order = torch.randperm(sequences, generator=_generator(settings.seed, -1))
    return order[kept:], order[:kept]


def _generator(seed: int, epoch: int) -> Generator:
    return Generator().manual_seed(seed * 1_000_003 + epoch + 1)


def _rows(data: SDNData, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    return data.drive[rows].to(device), data.membrane[rows].to(device)


def _loss(predicted: Tensor, x: Tensor, membrane: Tensor, tau: float, settings: TrainSettings) -> Tensor:
    loss = F.smooth_l1_loss(predicted, membrane, reduction="none", beta=settings.beta)
    if settings.near:
        loss = loss * (1 + settings.near * ((membrane + x - 1).abs() < tau))
    return loss.mean()


def _step(
    network: TrainableSDN,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    x: Tensor,
    membrane: Tensor,
    tau: float,
    settings: TrainSettings,
) -> float:
    network.train()
    optimizer.zero_grad()
    loss = _loss(network(x), x, membrane, tau, settings)
    loss.backward()
    optimizer.step()
    schedule.step()
    return float(loss.detach())


@torch.no_grad()
def _validate(
    network: TrainableSDN, data: SDNData, rows: Tensor, device: torch.device, settings: TrainSettings
) -> tuple[float, float]:
    """Loss and mean absolute error."""
    network.eval()
    loss = error = 0.0
    for part in rows.split(settings.batch_size):
        x, membrane = _rows(data, part, device)
        predicted = network(x)
        loss += float(_loss(predicted, x, membrane, data.tau, settings)) * len(part) / len(rows)
        error += float((predicted - membrane).abs().mean()) * len(part) / len(rows)
    return loss, error


def _keep(
    path: Path, about: dict[str, Any], network: Any, optimizer: Any, schedule: Any, state: dict[str, Any]
) -> None:
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    write_torch(path, {"about": about, "state": state} | {name: part.state_dict() for name, part in parts.items()})


def _resumed(path: Path, about: dict[str, Any], network: Any, optimizer: Any, schedule: Any) -> dict[str, Any]:
    """The state to go on from, with the parts filled; the beginning where there is no checkpoint."""
    if not path.exists():
        return {"step": 0, "total": 0.0, "best": None}
    with _damaged(path):
        found = read_torch(path, most_bytes=MOST_BYTES)
        kept, state = found["about"], found["state"]
        if set(state) != {"step", "total", "best"}:
            raise ValueError("it holds another state")
    for name, value in about.items():
        if kept.get(name) != value:
            raise PumiceError(
                f"{path} was trained with other {name}; choose another folder by save=..., or delete the files in it"
            )
    with _damaged(path):
        network.load_state_dict(found["network"])
        optimizer.load_state_dict(found["optimizer"])
        schedule.load_state_dict(found["schedule"])
    return dict(state)


@contextlib.contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a damaged zip file or pickle raises a dozen kinds of exception
        raise PumiceError(f"{path} cannot be read ({reason_of(error)}); delete it to train anew") from error
