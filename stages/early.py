"""Early decision: how often float model and program are right once a part of each recording has been heard.

Both hear the recordings once. What they would say after each part is read on the way, and is what they would say of a
recording that ended there.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..program import Program
from ..train.data.base import TaskDataModule
from ..train.data.events.batch import EventBatch
from ..train.data.sequences.batch import IGNORED, BlockBatch
from ..train.data.sequences.stepwise import EventBlockBatch
from .decisions import TestSet

PARTS = 20
SHARES = tuple(part / PARTS for part in range(1, PARTS + 1))
"""Parts of a recording's time, from its first event to its last."""


@runtime_checkable
class RunsAlong(Protocol):
    """A model of events that tells its logits on the way."""

    def running(self, tokens: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None, heard: Tensor) -> Tensor:
        """Logits (B, K, C) after the first ``heard`` (B, K) events of each sample; the rest as of ``forward``."""


def early(
    program: Program, tests: TestSet, data: TaskDataModule, model: nn.Module, threads: int | None = None
) -> dict[str, Any] | None:
    """Right decisions after each of `SHARES`; None where a recording has more decisions than one.

    Args:
        program: that was simulated.
        tests: the test set.
        data: of the task.
        model: the float model.
        threads: of the simulator; None: all cores.

    Returns:
        ``shares``; ``decisions``; ``integer``, and ``float``, how many are right after each share; None of a model that
        does not tell.
    """
    labels, samples = tests.labels(), tests.samples
    if len(labels) != len(samples) or not samples:
        return None
    heard = np.array([cuts(times) for _, times in samples])
    integers = tests.running(program, heard, threads)
    floats = _float(model, data, heard - int(program.pairing == "next"))
    return {
        "shares": list(SHARES),
        "decisions": len(labels),
        "integer": _right(integers, labels),
        "float": None if floats is None else _right(floats, labels),
    }


def cuts(times_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many events have come when each of `SHARES` of the time from the first to the last has passed."""
    if not len(times_us):
        return np.zeros(len(SHARES), dtype=np.int64)
    first, last = int(times_us[0]), int(times_us[-1])
    ends = [first + (last - first) * part // PARTS for part in range(1, PARTS + 1)]
    return np.searchsorted(times_us, ends, side="right")


def _right(scores: NDArray[np.floating], labels: NDArray[np.int64]) -> list[int]:
    """Of scores (N, K, C), for each of K."""
    return [int(count) for count in (scores.argmax(2) == labels[:, None]).sum(0)]


def _float(model: nn.Module, data: TaskDataModule, heard: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """The float model's scores (N, K, C); None of one that does not tell them on the way."""
    model, found, first = model.eval(), [], 0
    with torch.inference_mode():
        for batch in data.batches("test"):
            own = torch.from_numpy(heard[first : first + len(batch.targets)])
            first += len(own)
            if isinstance(batch, (BlockBatch, EventBlockBatch)):
                found.append(_of_blocks(model, batch, own))
            elif isinstance(batch, EventBatch) and isinstance(model, RunsAlong):
                found.append(model.running(batch.tokens, batch.dt, batch.lengths, batch.pool_dt, own))
            else:
                return None
    return torch.cat(found).double().numpy()


def _of_blocks(model: nn.Module, batch: BlockBatch | EventBlockBatch, heard: Tensor) -> Tensor:
    """Scores (B, K, C) of models that sum over blocks: each part of the labelled block is one, and parts are summed."""
    labelled = (batch.targets != IGNORED).int().argmax(1, keepdim=True)
    steps = torch.arange(batch.blocks.shape[1])
    parts = torch.searchsorted(heard, steps.expand(len(heard), -1).contiguous(), right=True) + 1
    parts = torch.where((batch.blocks == labelled) & (parts <= heard.shape[1]), parts, 0)
    count = heard.shape[1] + 1
    scores = batch.answers(model, parts, count)
    settings: Any = model.config
    if settings.aggregation == "mean":  # of a block, which has to weigh by its length
        sizes = torch.stack([(parts == part).sum(1) for part in range(count)], dim=1)
        scores = scores * sizes.unsqueeze(2)
    return scores[:, 1:].cumsum(1)
