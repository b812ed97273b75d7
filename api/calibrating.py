"""Calibrated candidates: by each method, with exponents searched, without the mean error of their logits."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from ..quantize.bias_correction import correct_bias
from ..quantize.config import QuantizationConfig
from ..quantize.exponent_search import search_exponents
from ..quantize.family import Family
from ..quantize.qat import observe
from ..quantize.qat_model import QATModel
from ..train.data.base import TaskDataModule
from ..train.data.batch import Batch
from ..train.data.inputs import Inputs, Timing
from .candidates import Candidate, Judging, predictions_by_batch


def first_samples(data: TaskDataModule, samples: int) -> list[Batch]:
    """Batches of so many training samples of a task, drawn by its seed."""
    builder = data.plain_builder("train")
    return [builder[key] for key in data.drawn(samples)]


class Examples:
    """A few training samples, and what the float model says of them, once it is asked for.

    Attributes:
        samples: how many.

    Args:
        model: the float model.
        first: batches of so many training samples.
        samples: see above.
    """

    def __init__(self, model: nn.Module, first: Callable[[int], list[Batch]], samples: int) -> None:
        self.samples = samples
        self._model, self._first = model, first

    @cached_property
    def batches(self) -> list[Batch]:
        """Them."""
        return self._first(self.samples)

    @cached_property
    def floats(self) -> list[Tensor]:
        """The float model's logits (M, C) of each batch."""
        return predictions_by_batch(self._model, self.batches)


class Observed:
    """What the float model does with some inputs, observed when it is first asked for.

    Args:
        inputs: makes them.
        samples: how many there are, where that is known.
    """

    def __init__(self, inputs: Callable[[], Iterator[Inputs]], samples: int | None) -> None:
        self._inputs, self._samples = inputs, samples
        self._seen: Any = None

    def __call__(self, qat: QATModel[Any, Any, Any]) -> Any:
        """What was seen, for models with the same weights."""
        if self._seen is None:
            self._seen = observe(qat, self._inputs(), self._samples)
        return self._seen


def calibrated_by(
    family: Family[Any, Any, Any],
    model: nn.Module,
    settings: QuantizationConfig,
    timing: Timing,
    observer: Callable[[QATModel[Any, Any, Any]], Any],
    judging: Judging,
) -> list[Candidate]:
    """The model calibrated by each method that is to be tried.

    Args:
        family: of the model.
        model: trained.
        settings: whose calibration says which methods.
        timing: of the input.
        observer: what a QAT model with these weights saw of the training samples.
        judging: what keeps the candidates.
    """
    found: list[Candidate] = []
    for method in settings.calibration.methods:
        config = replace(settings, calibration=replace(settings.calibration, method=method))
        qat = family.prepare(model, config, timing)
        qat.set_formats(observer(qat))
        found.append(judging.candidate(f"calibrated ({method})", qat))
    return found


@dataclass(frozen=True)
class Refining:
    """Makes further candidates of candidates, by the logits of a few training samples.

    Attributes:
        family: of the model.
        judging: what keeps the candidates.
    """

    family: Family[Any, Any, Any]
    judging: Judging

    def searched(self, best: Candidate, calibrated: Sequence[Candidate], shown: Examples) -> list[Candidate]:
        """The best calibration with exponents searched one by one; none where nothing was found."""
        qat = self.copied(best)
        other = next((one.qat for one in calibrated if one is not best), None)
        expected = [qat.taught_logits(said) for said in shown.floats]
        changed = search_exponents(qat, copy.deepcopy(other), shown.batches, expected)
        return [self.judging.candidate(f"{best.label}, {len(changed)} tensors searched", qat)] if changed else []

    def corrected(self, one: Candidate, shown: Examples) -> list[Candidate]:
        """A candidate without the mean error of its logits; none where no bias takes it."""
        if not shown.samples or one.qat.output_bias() is None:
            return []
        qat = self.copied(one)
        said = predictions_by_batch(one.simulated, shown.batches)
        correct_bias(qat, said, [qat.taught_logits(logits) for logits in shown.floats])
        return [self.judging.candidate(f"{one.label}, bias corrected", qat)]

    def copied(self, one: Candidate) -> QATModel[Any, Any, Any]:
        """A candidate's QAT model, to be changed."""
        qat = self.family.prepare(one.qat.model, one.qat.config, one.qat.timing)
        qat.load_state_dict(one.qat.state_dict())
        return qat
