"""Loading batches in the order of a plan, from where it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from .batch import Batch
from .plan import TrainingPlan


class TrainingLoader(DataLoader[Batch]):
    """Loads the batches of a ``TrainingPlan`` and knows how many of them were handed out.

    Lightning saves ``state_dict`` in its checkpoints and restores it, so that an interrupted epoch goes on where it
    stopped. Batches that workers prepare ahead do not count.
    """

    def __init__(self, builder: Dataset[Batch], plan: TrainingPlan, **arguments: Any) -> None:
        super().__init__(builder, batch_size=None, sampler=plan, **arguments)
        self.plan = plan
        self._next_batch = plan.start

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        self._next_batch = self.plan.start
        for batch in super().__iter__():
            self._next_batch += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch and the batch that comes next."""
        return {"epoch": self.plan.epoch, "next_batch": self._next_batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a position."""
        self.plan.resume_at(state["epoch"], state["next_batch"])
        self._next_batch = state["next_batch"]
