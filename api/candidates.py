"""The choice among quantized models of one float model: by divergence from it, on samples that are no test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from ..hw_sim.parity.noise import sqnr_of
from ..quantize.distillation.judge import Judge
from ..quantize.distillation.losses import apart
from ..quantize.frozen import FrozenModel
from ..quantize.qat_model import QATModel
from ..terminal import track
from ..train.data.batch import Batch, tells_values
from ..train.evaluate import Predictions, hard_labels
from .simulated import Simulated


@dataclass(kw_only=True)
class Candidate:
    """A quantized model.

    Attributes:
        label: for people, such as "calibrated (max)".
        qat: the QAT model.
        frozen: the frozen one.
        said: its logits of the samples that choose; None where nothing has to be chosen. So with the next three.
        kl: divergence of its logits from the float model's there, in nats; of values their relative squared error.
        sqnr_db: their signal to noise, in dB; None without noise.
        same_class: decisions that are the float model's.
    """

    label: str
    qat: QATModel[Any, Any, Any]
    frozen: FrozenModel[Any]
    said: Predictions | None = None
    kl: float = 0.0
    sqnr_db: float | None = None
    same_class: int = 0

    @cached_property
    def simulated(self) -> Simulated:
        """What says the same as the frozen model, sooner."""
        return Simulated(self.frozen, self.qat.timing)

    def figures(self) -> dict[str, Any]:
        """What is told of it, plain data."""
        if self.said is not None and self.said.values:
            return {"candidate": self.label, "relative_error": self.kl, "sqnr_db": self.sqnr_db}
        return {"candidate": self.label, "kl": self.kl, "sqnr_db": self.sqnr_db, "same_class": self.same_class}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen, among what, and by what.

    Attributes:
        by: the samples that chose, "validation", or "training" where nothing is held out; None where there was but one
            candidate.
        decisions: how many of them.
        candidates: as `Candidate.figures`, in the order of their making.
        chosen: the label of the one that was.
    """

    by: str | None = None
    decisions: int = 0
    candidates: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    chosen: str = ""

    def figures(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "by": self.by,
            "decisions": self.decisions,
            "candidates": [dict(one) for one in self.candidates],
            "chosen": self.chosen,
            "why": self.sentence(),
        }

    def sentence(self) -> str:
        """What was chosen and why, for people."""
        if self.by is None:
            return f"{self.chosen}, the only candidate"
        kept = next(one for one in self.candidates if one["candidate"] == self.chosen)
        measure, name = ("relative_error", "relative error") if "relative_error" in kept else ("kl", "KL")
        others = ", ".join(f"{one['candidate']} {one[measure]:.2e}" for one in self.candidates if one is not kept)
        where = "validation" if self.by == "validation" else "training samples, as nothing is held out"
        rest = f"; the others: {others}" if others else ""
        return (
            f"{self.chosen} diverges least from the float model on the {self.decisions} decisions of {where}: "
            f"{name} {kept[measure]:.2e}{rest}"
        )


class Judging:
    """Candidates, and what chooses among them.

    Attributes:
        judge: the samples that do.
        made: all candidates so far.

    Args:
        model: the float model.
        judge: see above.
    """

    def __init__(self, model: nn.Module, judge: Judge) -> None:
        self.judge = judge
        self.made: list[Candidate] = []
        self._model = model

    @cached_property
    def reference(self) -> Predictions:
        """What the float model says of the samples that choose."""
        return predictions(self._model, self.judge)

    def anew(self) -> Judging:
        """Without candidates, and with what the float model says."""
        other = Judging(self._model, self.judge)
        other.reference = self.reference
        return other

    def candidate(self, label: str, qat: QATModel[Any, Any, Any]) -> Candidate:
        """Freeze a model; it is judged once there is another."""
        self.made.append(Candidate(label=label, qat=qat, frozen=qat.freeze()))
        return self.made[-1]

    def nearest(self, candidates: Sequence[Candidate]) -> Candidate:
        """The one that diverges least from the float model, the first of equals."""
        if len(candidates) > 1:
            for one in candidates:
                self.look(one)
        return min(candidates, key=lambda one: one.kl)

    def choice(self, chosen: Candidate) -> Choice:
        """What is told of the choice."""
        if chosen.said is None:
            return Choice(chosen=chosen.label)
        figures = tuple(one.figures() for one in self.made)
        return Choice(by=self.judge.name, decisions=len(chosen.said.logits), candidates=figures, chosen=chosen.label)

    def look(self, one: Candidate) -> None:
        """Judge it, where it has not been."""
        if one.said is not None:
            return
        one.said = predictions(one.simulated, self.judge)
        logits = torch.from_numpy(one.said.logits)
        expected = one.qat.taught_logits(torch.from_numpy(self.reference.logits))
        one.kl = float(apart(logits, expected, one.said.values))
        one.sqnr_db = sqnr_of(logits.numpy(), expected.numpy())
        one.same_class = int((logits.argmax(1) == expected.argmax(1)).sum())


def predictions_by_batch(model: nn.Module, batches: Iterable[Batch]) -> list[Tensor]:
    """Logits (M, C) of each batch, in the model's own precision."""
    with torch.no_grad():
        return [batch.apply(model.eval())[0] for batch in track(batches, "evaluation, batches")]


def predictions(model: nn.Module, batches: Iterable[Batch]) -> Predictions:
    """Logits and classes, or values, of labelled batches, in the model's own precision.

    A frozen model's are those of its program.
    """
    pairs, values = [], False
    with torch.inference_mode():
        for batch in track(batches, "evaluation, batches"):
            pairs.append(batch.apply(model.eval()))
            values = values or tells_values(batch)
    logits, targets = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return Predictions(logits.double().numpy(), (targets if values else hard_labels(targets)).numpy())
