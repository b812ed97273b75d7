"""The data of an event task, for training with Lightning and for the stages after it."""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ....errors import PumiceError
from ....program.samples import Sample
from ..base import TaskDataModule
from ..inputs import Timing
from ..recordings import Recordings, columns_of_events
from ..sources.reduced import ReducedRecordings
from ..sources.registry import OWN_VALIDATION, count_classes, open_recordings
from ..task import TaskConfig
from ..tokens import TOKENS
from .loading import BatchBuilder
from .samples import EventSamples


class EventDataModule(TaskDataModule):
    """Loaders of ``EventBatch`` of one event task; samples are ``EventSamples``: raw events, labels, class names.

    ``task`` is a ``task.TaskConfig``; ``task.task_config`` builds one from a configuration. The other arguments are
    those of ``base.TaskDataModule``.
    """

    kind = "events"
    task: TaskConfig

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.task.num_classes or count_classes(self.task)

    @property
    def model_inputs(self) -> dict[str, int]:
        """The vocabulary."""
        return {"vocab": self.vocab}

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.task.vocab

    @property
    def tick_ms(self) -> float | None:
        """Length of a tick in milliseconds; None where times are exact."""
        return self.task.tick_ms

    @property
    def timing(self) -> Timing:
        """The task's tick and pairing."""
        return Timing(tick_ms=self.tick_ms, pairing=self.task.pairing)

    def program_samples(self, split: str, most: int | None = None) -> list[Sample]:
        """Tokens and times of each recording; see `TaskDataModule.program_samples`."""
        to_tokens, sensor, longest = TOKENS[self.task.token][0], self.task.grid, self.task.max_events
        cropped = (events[:longest] for events, _ in islice(self.samples(split), most))
        return [(to_tokens(events, sensor), events["t"].astype(np.int64)) for events in cropped]

    def raw(self, split: str, most: int) -> list[dict[str, NDArray]]:
        """See `TaskDataModule.raw`."""
        samples: EventSamples = self.samples(split)
        reduced = samples.recordings
        recordings = reduced.original if isinstance(reduced, ReducedRecordings) else reduced
        return [columns_of_events(recordings.events(int(index))) for index in samples.indices[:most]]

    def check_windows(self, window: int) -> str | None:
        """See `TaskDataModule.check_windows`."""
        samples = self.train_dataset
        longest = self.task.max_events or samples.lengths.max()
        lengths = np.minimum(samples.lengths, longest) - (self.task.pairing == "next")
        short = np.flatnonzero(lengths < window)
        if not len(short):
            return None
        name, number = samples.recordings.name, samples.indices
        if len(short) < len(lengths):
            return (
                f"{len(short):,} of {len(lengths):,} training samples have fewer events than the model's window of "
                f"{window}, the first is recording {number[short[0]]} of {name} with {lengths[short[0]]}; it sees "
                "nothing of these"
            )
        longest = int(lengths.argmax())
        raise PumiceError(
            f"no training sample of {name} fills the model's window of {window} events, the longest is recording "
            f"{number[longest]} with {lengths[longest]}; lower model.stride or model.stages, or raise task.max_events "
            "or task.slice_events where they cut"
        )

    def labels(self, split: str) -> NDArray[np.int64]:
        """One class a recording."""
        return self.samples(split).labels

    def speakers(self, split: str) -> NDArray[np.int64] | None:
        """See `TaskDataModule.speakers`."""
        samples: EventSamples = self.samples(split)
        known = samples.recordings.speakers
        return None if known is None else known[samples.indices]

    def _open(self, split: str) -> Recordings:
        return open_recordings(self.task, split)

    def _choose(self, opened: Recordings, chosen: NDArray | None, training: bool) -> EventSamples:
        if training:
            return EventSamples(opened, chosen, self.task.slice_events, fewest=self.task.fewest_events)
        return EventSamples(opened, chosen)

    def _builder(self, samples: EventSamples, training: bool) -> BatchBuilder:
        return BatchBuilder(samples, self.task, training, self.seed)

    def _own_validation(self) -> bool:
        own = self.task.validation.by == "own"
        if own and self.task.source not in OWN_VALIDATION:
            raise PumiceError(
                f"task.validation.by=own: {self.task.source} has no split of its own for it; choose sample or speaker"
            )
        return own
