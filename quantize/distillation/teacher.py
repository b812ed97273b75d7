"""What the float model says of training samples, computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ...errors import PumiceError
from ...train.data.batch import Batch, PaddedBatch, tells_values
from ...train.data.inputs import Inputs
from ...train.data.plan import BatchKey
from ..qat_model import QATModel
from ..tuning import FamilyTuning
from .rows import Rows, RowWriter
from .signals import WINDOW, Signals, each_step, fitted, windowed

LOGITS = "logits"


class Saying(nn.Module):
    """Stands for a model: keeps what it says, or says what was kept.

    Args:
        model: None to say ``said``.
        said: (B, ..., C).
    """

    def __init__(self, model: nn.Module | None, said: Tensor | None = None) -> None:
        super().__init__()
        self.model, self.said = model, said

    def forward(self, *inputs: Any) -> Tensor:
        """The model's output, or what was kept."""
        if self.model is not None:
            self.said = self.model(*inputs)
        assert self.said is not None
        return self.said


class TaughtBatch(NamedTuple):
    """A labelled batch, and what the float model says of it.

    Attributes:
        batch: of any kind of task.
        taught: logits (B, n, C) under ``LOGITS``, and `Signals`.
    """

    batch: Any
    taught: Signals

    def to(self, device: Any, non_blocking: bool = False) -> TaughtBatch:
        """Return the batch on ``device``."""
        taught = {name: values.to(device, non_blocking=non_blocking) for name, values in self.taught.items()}
        return TaughtBatch(self.batch.to(device, non_blocking=non_blocking), taught)

    def answers(self, model: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
        """Of the same decisions: the model's logits and the float model's, (M, C) each, and the targets."""
        keeper = Saying(model)
        outputs, targets = self.batch.apply(keeper)
        assert keeper.said is not None
        taught = self.taught[LOGITS]
        taught = taught.squeeze(1) if keeper.said.dim() == 2 else fitted(taught, keeper.said.shape[1])
        return outputs, self.batch.apply(Saying(None, taught))[0], targets

    def apply(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """The model's logits and the float model's, (M, C) each."""
        return self.answers(model)[:2]

    def padded(self) -> Inputs:
        """The samples as a model reads them."""
        return self.batch.padded()

    @property
    def values(self) -> bool:
        """Whether values are asked for, and not classes."""
        return tells_values(self.batch)


@dataclass(frozen=True)
class Teacher:
    """The float model of a QAT model that was not trained yet, and what is to be known of it.

    Attributes:
        qat: calibrated.
        tuning: what is compared.
    """

    qat: QATModel[Any, Any, Any]
    tuning: FamilyTuning

    def nodes(self) -> tuple[str, ...]:
        """The nodes that are compared.

        Raises:
            PumiceError: the model has none of the kind that is asked for.
        """
        output, hidden = self.qat.output_node, self.qat.hidden_nodes()
        found: tuple[str, ...] = ()
        if self.tuning.output == "potentials":
            if output is None:
                raise PumiceError(
                    "quantize.qat.output=potentials: this model and the float model share no read-out that has "
                    "potentials at every step; set quantize.qat.output=logits"
                )
            found += (output,)
        if self.tuning.hidden != "none":
            if not hidden:
                raise PumiceError(
                    f"quantize.qat.hidden={self.tuning.hidden}: this model has no hidden neurons that spike; set "
                    "quantize.qat.hidden=none"
                )
            found += hidden
        return found

    def reduced(self, name: str, values: Tensor, lengths: Tensor) -> Tensor:
        """What is compared of the values (B, T, n) of a node, (B, m, n)."""
        if name == self.qat.output_node:
            return each_step(values, lengths)
        rows = lengths // self.qat.hidden_every(name)
        return windowed(values, rows, WINDOW if self.tuning.hidden == "spikes" else None)

    @torch.no_grad()
    def teach(self, batch: Batch, powers: Powers | None = None) -> TaughtBatch:
        """A batch, and what the float model says of it, which ``powers`` are shown."""
        if not isinstance(batch, PaddedBatch):
            raise PumiceError("fine-tuning needs labelled samples of events or steps; choose another task")
        model, names = self.qat.model.eval(), self.nodes()
        keeper = Saying(model)
        batch.apply(keeper)
        assert keeper.said is not None
        said = self.qat.taught_logits(keeper.said)
        taught = {LOGITS: said.unsqueeze(1) if said.dim() == 2 else said}
        if names:
            inputs = batch.padded()
            values = self.qat.float_signals(inputs)
            taught |= {name: self.reduced(name, values[name], inputs.lengths) for name in names}
        if powers is not None:
            powers.add(taught | {LOGITS: batch.apply(Saying(None, said))[0]})
        return TaughtBatch(batch, {name: rows.float() for name, rows in taught.items()})


class Powers:
    """Mean squares of what the float model says: the signal that errors are relative to."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def add(self, said: Signals) -> None:
        """Look at what is said of a batch: of the logits, those of decisions that count."""
        for name, values in said.items():
            total = self._sums.setdefault(name, [0.0, 0])
            total[0] += float(values.double().square().sum())
            total[1] += values.numel()

    def means(self) -> dict[str, float]:
        """By name; 1 where all is 0."""
        return {name: total / max(count, 1) or 1.0 for name, (total, count) in self._sums.items()}


class TaughtSamples(Dataset[TaughtBatch]):
    """What the float model says of a training set, in files, by sample; from a key to its taught batch.

    Args:
        builder: from a key to a batch, without augmentation.
        rows: by name, of each sample.
    """

    def __init__(self, builder: Dataset[Batch], rows: Mapping[str, Rows]) -> None:
        self._builder, self._rows = builder, rows

    def __getitem__(self, key: BatchKey) -> TaughtBatch:
        taught = {name: torch.from_numpy(rows.of(key.samples)) for name, rows in self._rows.items()}
        return TaughtBatch(self._builder[key], taught)


def teach_samples(
    teacher: Teacher,
    builder: Dataset[Batch],
    keys: Iterable[BatchKey],
    folder: Path,
    told: Callable[[int], None] = lambda samples: None,
) -> tuple[TaughtSamples, dict[str, float]]:
    """Let the float model run once over a training set.

    Args:
        teacher: the float model.
        builder: from a key to a batch, without augmentation.
        keys: of all samples, in their order.
        folder: of the files.
        told: told how many more samples are done.

    Returns:
        what it said, and the mean power of each.

    Raises:
        PumiceError: the files cannot be written.
    """
    writers: dict[str, RowWriter] = {}
    powers = Powers()
    for key in keys:
        batch = teacher.teach(builder[key], powers)
        for name, values in batch.taught.items():
            if name not in writers:
                writers[name] = RowWriter(folder / f"{name.replace('/', '-')}.f32", values.shape[2])
            for rows in values.numpy():
                writers[name].append(rows)
        told(len(key.samples))
    return TaughtSamples(builder, {name: writer.close() for name, writer in writers.items()}), powers.means()
