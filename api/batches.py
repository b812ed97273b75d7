"""Torch batches of plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import PumiceError
from ..program.arrays import integers, reals
from ..program.clock import check_order
from ..quantize.families import family_of
from ..quantize.qat_model import QATModel
from ..train.data.batch import PaddedBatch
from ..train.data.events.batch import EventBatch
from ..train.data.events.collate import pad
from ..train.data.inputs import Inputs, Timing
from ..train.data.sequences.batch import (
    IGNORED,
    BlockBatch,
    LabelledSequence,
    collate_blocks,
    labelled_stretch,
    whole_sequences,
)
from ..train.data.sequences.stepwise import EventBlockBatch
from ..train.data.times import intervals
from .presets import kind_of
from .samples import as_array, is_pair, told

_WANTED = "give torch batches (pumice.make_batches, load_data) or a list of (values, times_us) pairs"

_Pair = tuple[NDArray[Any], NDArray[np.int64]]


@dataclass(frozen=True)
class Batches(Sequence[Any]):
    """Batches at hand, and how their input is timed.

    Attributes:
        batches: labelled, of one kind, or `Inputs` where there are no labels.
        timing: of all of them.
    """

    batches: tuple[PaddedBatch | Inputs, ...]
    timing: Timing

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: Any) -> Any:
        return self.batches[number]

    def __iter__(self) -> Iterator[PaddedBatch | Inputs]:
        return iter(self.batches)


def make_batches(
    model: nn.Module,
    samples: Sequence[Any],
    labels: Sequence[Any] | NDArray[np.integer] | None = None,
    *,
    batch_size: int = 32,
    tick_ms: float | None = 0.5,
    pairing: str = "causal",
) -> Batches:
    """Torch batches of plain samples, as ``model`` reads them, for training and for `quantize`.

    Args:
        model: float or QAT model of any family.
        samples: one (values, times) pair a sample: tokens (L,) or vectors (L, F), and times (L,) in integer
            microseconds, not decreasing. A network of time steps takes vectors (T, F), a row every step.
        labels: the class of each sample, (N,); or, where the model answers step by step, of each row of each sample,
            N arrays (L,), -1 where none is known. Without them batches serve calibration alone.
        batch_size: samples of a batch; they keep their order.
        tick_ms: what the times of events are rounded to, ms; None for exact times.
        pairing: which gap belongs to an event, ``"causal"`` (the one before it) or ``"next"``.

    Raises:
        PumiceError: a sample that the model cannot read, or labels that do not fit; names the sample.
    """
    family = family_of(model.model if isinstance(model, QATModel) else model)
    config: Any = (model.model if isinstance(model, QATModel) else model).config
    if isinstance(samples, (str, bytes, Mapping)) or not isinstance(samples, Sequence | np.ndarray) or not len(samples):
        raise PumiceError(f"samples cannot be {kind_of(samples)}, or none; give a list of (values, times_us) pairs")
    if batch_size < 1:
        raise PumiceError(f"batch_size={batch_size} has to be at least 1")
    dense = getattr(config, "vocab", None) is None
    size = config.in_features if dense else config.vocab
    pairs = [_checked(sample, number, dense, size) for number, sample in enumerate(samples)]
    starts, every = range(0, len(pairs), batch_size), getattr(config, "answers_every", None)
    if family.reads == "sequences":
        timing = Timing(step_us=_step_us(pairs))
        rows = _of_rows(labels, pairs, config.num_classes)
        steps = [_steps(pairs[i : i + batch_size], _part(rows, i, batch_size)) for i in starts]
        return Batches(tuple(steps), timing)
    timing = Timing(tick_ms=tick_ms, pairing=pairing)
    if every is not None:
        rows = _of_rows(labels, pairs, config.num_classes)
        return Batches(
            tuple(
                _answered(_events(pairs[i : i + batch_size], None, timing), _part(rows, i, batch_size), every)
                for i in starts
            ),
            timing,
        )
    classes = None if labels is None else _classes(labels, len(pairs), config.num_classes)
    targets = None if classes is None else np.eye(config.num_classes, dtype=np.float32)[classes]
    events = [_events(pairs[i : i + batch_size], _part(targets, i, batch_size), timing) for i in starts]
    return Batches(tuple(events), timing)


def as_batches(model: nn.Module, given: Any, timing: Timing | None = None) -> Batches:
    """What `quantize` takes in place of a task's data, as batches that ``model`` can read.

    Args:
        model: float model of any family.
        given: `Batches`; torch batches (`EventBatch`, `BlockBatch`, `Inputs`); for networks of time steps pairs of
            inputs (B, T, F) and classes (B,), as loaders commonly give them; or plain samples, see `make_batches`.
        timing: of torch batches; exact times and steps of no stated length if not given.

    Raises:
        PumiceError: anything else, an input that the model does not read, or nothing at all.
    """
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise PumiceError(f"batches cannot be {kind_of(given)}; {_WANTED}")
    entries: list[Any] = [given] if isinstance(given, (Inputs, PaddedBatch)) else list(given)
    if not entries:
        raise PumiceError(f"no batches are given, but calibration needs some; {_WANTED}")
    if is_pair(entries[0]) and getattr(entries[0][0], "ndim", 0) < 3:
        return make_batches(model, entries)
    batches = tuple(_as_batch(model, entry, number) for number, entry in enumerate(entries))
    return Batches(batches, timing or (given.timing if isinstance(given, Batches) else Timing()))


def labelled(batches: Iterable[PaddedBatch | Inputs]) -> list[PaddedBatch]:
    """Batches that fine-tuning can learn from.

    Raises:
        PumiceError: one has no labels.
    """
    found = [batch for batch in batches if not isinstance(batch, Inputs)]
    if not found or len(found) < sum(1 for _ in batches):
        raise PumiceError(
            "fine-tuning needs labelled batches; make them with pumice.make_batches(model, samples, labels)"
        )
    return found


def with_targets(batch: PaddedBatch | Inputs, every: int | None = None) -> PaddedBatch:
    """A batch that a model can be applied to; where there are no labels its targets mean nothing.

    ``every``: events of each answer of a model that gives many; every event is then asked for one.
    """
    if not isinstance(batch, Inputs):
        return batch
    count = len(batch.lengths)
    if batch.dt is not None and every is not None:
        places = torch.arange(batch.dt.shape[1], device=batch.dt.device)
        blocks = torch.where(places < batch.lengths.unsqueeze(1), places + 1, 0)
        targets = torch.where(torch.arange(len(places) + 1) > batch.lengths.unsqueeze(1), IGNORED, 0)
        targets[:, 0] = IGNORED
        return EventBlockBatch.of(batch, blocks, targets, every)
    if batch.dt is not None:
        return EventBatch.of(batch, torch.zeros(count, 1))
    return whole_sequences(batch.values, np.zeros(count, dtype=np.int64), batch.lengths.numpy())


def _as_batch(model: nn.Module, entry: Any, number: int) -> PaddedBatch | Inputs:
    reads = family_of(model).reads
    config: Any = model.config
    if is_pair(entry) and reads == "sequences":
        entry = _labelled(entry, number, config.num_classes)
    if not isinstance(entry, Inputs) and not isinstance(entry, PaddedBatch):
        raise PumiceError(f"batch {number} is {kind_of(entry)}; {_WANTED}")
    inputs = entry if isinstance(entry, Inputs) else entry.padded()
    dense = getattr(config, "vocab", None) is None
    size = config.in_features if dense else config.vocab
    values, wanted = inputs.values, (3, f"(B, L, {size}) of real numbers") if dense else (2, "(B, L) of whole numbers")
    fits = values.ndim == wanted[0] and (values.shape[-1] == size if dense else True)
    if not fits or values.is_floating_point() != dense:
        shape = f"{tuple(values.shape)} of {str(values.dtype).removeprefix('torch.')}"
        raise PumiceError(f"batch {number}: its values are {shape}, but the model reads {wanted[1]}")
    if reads == "events" and (inputs.dt is None or inputs.dt.shape != values.shape[:2]):
        raise PumiceError(f"batch {number}: the model reads events and needs intervals dt (B, L) in ms between them")
    every = getattr(config, "answers_every", None)
    if isinstance(entry, PaddedBatch) and every != getattr(entry, "every", None) and reads == "events":
        raise PumiceError(
            f"batch {number} is {kind_of(entry)}, of other answers than the model gives (model.head={config.head}); "
            "make it with pumice.make_batches(model, samples, labels)"
        )
    lengths = inputs.lengths
    if lengths.shape != values.shape[:1] or bool(((lengths < 0) | (lengths > values.shape[1])).any()):
        raise PumiceError(f"batch {number}: lengths have to be (B,), each from 0 to {values.shape[1]}")
    real = torch.arange(values.shape[1]) < lengths.cpu().unsqueeze(1)
    if not dense and bool(((values < 0) | (values >= size)).cpu()[real].any()):
        raise PumiceError(f"batch {number}: tokens lie outside [0, {size}), the model's vocab")
    return entry


def _labelled(pair: Sequence[Any], number: int, num_classes: int) -> BlockBatch:
    """Inputs (B, T, F) and classes (B,), every step of a sample counting in its decision."""
    inputs = torch.as_tensor(pair[0])
    if inputs.ndim != 3:
        raise PumiceError(f"batch {number}: inputs have shape {tuple(inputs.shape)}, (B, T, F) is expected")
    classes = torch.from_numpy(_classes(pair[1], len(inputs), num_classes))
    targets = torch.stack([torch.full_like(classes, IGNORED), classes], dim=1)
    count, steps = inputs.shape[:2]
    blocks = torch.ones(count, steps, dtype=torch.int64)
    return BlockBatch(inputs.float(), blocks, targets, torch.full((count,), steps, dtype=torch.int64))


def _checked(sample: Any, number: int, dense: bool, size: int) -> _Pair:
    """Vectors (L, size) float32 or tokens (L,) below ``size``, and times (L,)."""
    if not is_pair(sample):
        raise PumiceError(
            f"sample {number} is {kind_of(sample)} and no pair of values and times; give (values, times_us)"
        )
    what = f"sample {number}:"
    with told():
        values = reals(f"{what} values", sample[0]) if dense else integers(f"{what} tokens", sample[0])
        times = integers(f"{what} times", sample[1])
    wanted = (times.size, size) if dense else (times.size,)
    if times.ndim != 1 or values.shape != wanted:
        raise PumiceError(
            f"{what} values have shape {values.shape} and times {times.shape}; {wanted} and one time a row are expected"
        )
    try:
        with told():
            check_order(times)
    except PumiceError as error:
        raise PumiceError(f"{what} {error}") from error
    if dense and not np.isfinite(values).all():
        raise PumiceError(f"{what} its values hold NaN or infinity; clean the input first")
    if not dense and values.size and not (values.min() >= 0 and values.max() < size):
        raise PumiceError(f"{what} tokens {values.min()} to {values.max()} lie outside [0, {size}), the model's vocab")
    return values.astype(np.float32) if dense else values, times


def _classes(labels: Any, count: int, num_classes: int) -> NDArray[np.int64]:
    with told():
        classes = integers("labels", as_array(labels))
    if classes.shape != (count,):
        raise PumiceError(f"labels have shape {classes.shape}, but there are {count} samples; give one class a sample")
    if classes.min() < 0 or classes.max() >= num_classes:
        raise PumiceError(
            f"labels {classes.min()} to {classes.max()} lie outside [0, {num_classes}), the model's classes"
        )
    return classes


Rows = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Of each sample the block of each row, and the class of each block."""


def _of_rows(labels: Any, pairs: Sequence[_Pair], num_classes: int) -> Rows | None:
    """From one class a sample, or one a row of each: -1 where none is known."""
    if labels is None:
        return None
    if not len(labels) or np.ndim(labels[0]) == 0:
        classes = _classes(labels, len(pairs), num_classes)
        return [
            (labelled_stretch(len(times), 0), np.array([IGNORED, its], dtype=np.int64))
            for (_, times), its in zip(pairs, classes, strict=True)
        ]
    if len(labels) != len(pairs):
        raise PumiceError(f"there are labels of {len(labels)} samples, but {len(pairs)} samples; give those of each")
    found = []
    for number, (own, (_, times)) in enumerate(zip(labels, pairs, strict=True)):
        with told():
            each = integers(f"labels of sample {number}", as_array(own))
        if each.shape != times.shape or (each.size and not (each.min() >= IGNORED and each.max() < num_classes)):
            raise PumiceError(
                f"sample {number}: its labels have shape {each.shape} and lie from {each.min(initial=0)} to "
                f"{each.max(initial=0)}; {times.shape} of -1 to {num_classes - 1} are expected, one a row"
            )
        found.append((np.arange(1, len(each) + 1), np.concatenate([[IGNORED], each])))
    return found


def _answered(inputs: PaddedBatch | Inputs, rows: Rows | None, every: int) -> PaddedBatch | Inputs:
    """Events with the blocks of their rows."""
    if rows is None or not isinstance(inputs, Inputs):
        return inputs
    batch = collate_blocks(
        [LabelledSequence(np.zeros((len(own), 1), np.float32), own, targets) for own, targets in rows]
    )
    return EventBlockBatch.of(inputs, batch.blocks, batch.targets, every)


def _part(rows: Any, start: int, size: int) -> Any:
    return None if rows is None else rows[start : start + size]


def _events(pairs: Sequence[_Pair], targets: NDArray[np.float32] | None, timing: Timing) -> PaddedBatch | Inputs:
    timed = [intervals(times, timing.tick_ms, timing.pairing) for _, times in pairs]
    inputs = pad([values for values, _ in pairs], [dt for dt, _ in timed], [exact for _, exact in timed])
    return inputs if targets is None else EventBatch.of(inputs, torch.from_numpy(targets))


def _steps(pairs: Sequence[_Pair], rows: Rows | None) -> PaddedBatch | Inputs:
    """Every step of a sample counts in its decision, or in its own."""
    own = rows or [(labelled_stretch(len(values), 0), np.array([IGNORED, 0])) for values, _ in pairs]
    batch = collate_blocks([LabelledSequence(x, *each) for (x, _), each in zip(pairs, own, strict=True)])
    return batch.padded() if rows is None else batch


def _step_us(pairs: Sequence[_Pair]) -> int | None:
    """The length of a step, which all samples have to share; None where no sample has two steps."""
    found: int | None = None
    for number, (_, times) in enumerate(pairs):
        for step in np.unique(np.diff(times)).tolist():
            if step < 1 or (found is not None and step != found):
                raise PumiceError(
                    f"sample {number}: steps of {step} us and {found or 'more'} us; a network of time steps takes a "
                    "row every step, all of one length (pumice.program.steps fills in empty ones)"
                )
            found = step
    return found
