"""The test set as programs take it, and the decisions that their outputs mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..hw_sim.simulator import run as simulate
from ..hw_sim.simulator.along import running
from ..models.adlif.blocks import aggregate, at_steps
from ..program import Program
from ..program.nodes import SPIKES
from ..program.samples import Sample, Trace
from ..train.data.base import TaskDataModule
from ..train.data.sequences.batch import BlockBatch, counted
from ..train.data.sequences.datamodule import SequenceDataModule
from .build import build_model


class TestSet(ABC):
    """N test samples, with one or more decisions each.

    Attributes:
        samples: values and times, as `program.reference.run` takes them.
    """

    samples: list[Sample]

    @abstractmethod
    def labels(self, chosen: Sequence[int] | None = None) -> NDArray[Any]:
        """The true classes (M,) of the decisions on the samples ``chosen``, on all if not given; or values (M, C)."""

    def recordings(self, chosen: Sequence[int] | None = None) -> NDArray[np.int64]:
        """Which of the samples ``chosen`` each of the `labels` belongs to, (M,)."""
        return np.arange(len(self.samples) if chosen is None else len(chosen))

    @abstractmethod
    def scores(
        self, program: Program, traces: Sequence[Trace], chosen: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """What the traces of the samples ``chosen`` say, (M, C): the largest score decides."""

    def running(self, program: Program, heard: NDArray[np.int64], threads: int | None = None) -> NDArray[np.float64]:
        """What decides after the first ``heard`` (N, K) events or steps of samples of one decision, (N, K, C).

        Args:
            program: whose scores.
            heard: ascending.
            threads: of the simulator; None: all cores.
        """
        return running(program, self.samples, heard) * program[program.logits].output.scale


class EventTest(TestSet):
    """Recordings of events, cropped as evaluation crops; one decision each, by the logits."""

    def __init__(self, data: TaskDataModule) -> None:
        self._labels, self.samples = data.labels("test"), data.program_samples("test")

    def labels(self, chosen: Sequence[int] | None = None) -> NDArray[np.int64]:
        """See `TestSet.labels`."""
        return self._labels if chosen is None else self._labels[list(chosen)]

    def scores(
        self, program: Program, traces: Sequence[Trace], chosen: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """The logits."""
        return np.stack([trace.logits for trace in traces]) * program[program.logits].output.scale


class SequenceTest(TestSet):
    """Sequences of steps; one decision a labelled block, by the aggregated series (see `models.adlif.blocks`).

    The aggregate is taken in float64, here, on integers that are the same in every backend.

    Args:
        data: the task's data.
        aggregation: of the model, "softmax" or "mean".
    """

    def __init__(self, data: SequenceDataModule, aggregation: str) -> None:
        self._set, self._aggregation = data.test_dataset, aggregation
        self.samples = data.program_samples("test")

    @cached_property
    def _batches(self) -> list[BlockBatch]:
        return [self._set.batch([index], None) for index in range(len(self._set))]

    def _chosen(self, chosen: Sequence[int] | None) -> list[BlockBatch]:
        return self._batches if chosen is None else [self._batches[index] for index in chosen]

    def labels(self, chosen: Sequence[int] | None = None) -> NDArray[Any]:
        """See `TestSet.labels`."""
        return torch.cat([batch.targets[counted(batch.targets)] for batch in self._chosen(chosen)]).numpy()

    def recordings(self, chosen: Sequence[int] | None = None) -> NDArray[np.int64]:
        """See `TestSet.recordings`."""
        counts = [int(counted(batch.targets).sum()) for batch in self._chosen(chosen)]
        return np.repeat(np.arange(len(counts)), counts)

    def scores(
        self, program: Program, traces: Sequence[Trace], chosen: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """The aggregated potentials of the labelled blocks, or the logits of a program that has no series."""
        if program.series is None:  # it decides once a sequence, by its read-out
            return np.stack([trace.logits for trace in traces]) * program[program.logits].output.scale
        found, spikes = [], program[program.series].output == SPIKES
        aggregation = "mean" if spikes else self._aggregation
        for batch, trace in zip(self._chosen(chosen), traces, strict=True):
            potentials = self._at_steps(program, trace, batch)
            logits = aggregate(potentials, batch.blocks, batch.targets.shape[1], aggregation)
            found.append(logits[counted(batch.targets)])
        return torch.cat(found).numpy()

    @staticmethod
    def _at_steps(program: Program, trace: Trace, batch: BlockBatch) -> Tensor:
        """The values (1, T, C) of the series at each step of a batch of one."""
        assert program.series is not None
        assert trace.series is not None
        values = torch.from_numpy(trace.series * program[program.series].output.scale).unsqueeze(0)
        return at_steps(values, batch.lengths, batch.blocks.shape[1], program.rates[program.series])

    def running(self, program: Program, heard: NDArray[np.int64], threads: int | None = None) -> NDArray[np.float64]:
        """See `TestSet.running`: the potentials of the labelled steps so far, aggregated."""
        if program.series is None:
            return super().running(program, heard, threads)
        found, spikes = [], program[program.series].output == SPIKES
        traces = simulate(program, self.samples, threads=threads)
        for batch, trace, own in zip(self._batches, traces, heard, strict=True):
            values = self._at_steps(program, trace, batch)[0]
            if self._aggregation == "softmax" and not spikes:
                values = values.softmax(-1)
            (labelled,) = torch.nonzero(counted(batch.targets)[0])[0].tolist()
            sums = (values * (batch.blocks[0, : len(values)] == labelled).unsqueeze(1)).cumsum(0)
            sums = torch.cat([torch.zeros(1, sums.shape[1], dtype=sums.dtype), sums])
            found.append(sums[torch.from_numpy(own)])
        return torch.stack(found).numpy()


def make_test_set(config: Mapping[str, Any], data: TaskDataModule) -> TestSet:
    """The test set of the configured task; sequences are decided as the configured model decides.

    Raises:
        PumiceError: a setting of the model outside its limits.
    """
    if not data.decides_on_blocks:
        return EventTest(data)
    assert isinstance(data, SequenceDataModule)
    settings: Any = build_model(config, data, initial=False).config
    return SequenceTest(data, settings.aggregation)


def other_test_sets(config: Mapping[str, Any], data: TaskDataModule) -> dict[str, TestSet]:
    """The same samples, decided upon by the task's other protocols, by name."""
    return {name: make_test_set(config, other) for name, other in data.other_protocols().items()}
