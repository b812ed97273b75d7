"""A frozen model whose logits the compiled simulator computes: the same bits, sooner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..hw_sim.simulator import run
from ..models.adlif.blocks import at_steps
from ..program.clock import gaps
from ..program.samples import Sample, Trace
from ..quantize.frozen import FrozenModel
from ..quantize.lowering import make_program
from ..quantize.s5.network import integer_gaps
from ..quantize.spikingssm.outputs import labelled_lengths, one_stretch
from ..train.data.inputs import Timing


class Simulated(nn.Module):
    """Takes what a frozen model takes and says what it says in float64.

    Args:
        frozen: the model.
        timing: of its input.

    Raises:
        PumiceError: what no program can hold.
    """

    def __init__(self, frozen: FrozenModel[Any], timing: Timing) -> None:
        super().__init__()
        nodes = frozen.nodes()
        classes = [str(number) for number in range(next(n.channels for n in nodes if n.name == frozen.logits))]
        self.frozen = frozen
        self.program = make_program(nodes, frozen.logits, timing.pairing, classes, None, timing.step_us)

    def forward(self, values: Tensor, *others: Any) -> Tensor:
        """Logits, as the frozen model gives them."""
        return self._of_steps(values, *others) if self.program.clocked else self._of_events(values, *others)

    def _of_events(self, values: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor | None = None) -> Tensor:
        samples = self._events(values, dt, lengths, dt if pool_dt is None else pool_dt)
        if samples is None:
            return self.frozen(values, dt, lengths, pool_dt)
        traces = self._run(samples)
        if self.program.series is None:
            return self._logits(traces)
        return self._series(traces, values.shape[1] // self.program.rates[self.program.series])

    def _events(self, values: Tensor, dt: Tensor, lengths: Tensor, pool_dt: Tensor) -> list[Sample] | None:
        """Values and times of each sample; None where no times give both kinds of intervals."""
        between = integer_gaps(pool_dt, 1).numpy()
        units = [node.unit_us for node in self.program.gap_inputs]  # of the decays, and of the weights of timepool
        known = [integer_gaps(given, unit).numpy() for given, unit in zip((dt, pool_dt), units, strict=False)]
        samples: list[Sample] = []
        for row, count in enumerate(lengths.tolist()):
            times, given = np.cumsum(between[row, :count]), _numbers(values[row, :count])
            if self.program.pairing == "next":
                times = np.concatenate([np.zeros(1, np.int64), times])
                given = np.concatenate([given, given[-1:] if count else np.zeros((1, *given.shape[1:]), given.dtype)])
            for unit, wanted in zip(units, known, strict=True):
                if not np.array_equal(gaps(times, unit, self.program.pairing), wanted[row, :count]):
                    return None
            samples.append((given, times))
        return samples

    def _of_steps(self, values: Tensor, blocks: Tensor, count: int) -> Tensor:
        step_us, program = self.program.step_us or 1, self.program
        steps = [blocks.shape[1]] * len(blocks)
        if program.series is None:
            steps = labelled_lengths(blocks, count).tolist()
        samples = [(_numbers(values[row, :n]), np.arange(n, dtype=np.int64) * step_us) for row, n in enumerate(steps)]
        traces = self._run(samples)
        if program.series is None:
            return one_stretch(self._logits(traces), count)
        series = self._series(traces, blocks.shape[1] // program.rates[program.series])
        lengths = torch.tensor(steps)
        return self.frozen.decide(
            at_steps(series, lengths, blocks.shape[1], program.rates[program.series]), blocks, count
        )

    def _run(self, samples: Sequence[Sample]) -> list[Trace]:
        return run(self.program, samples, threads=torch.get_num_threads())

    def _logits(self, traces: Sequence[Trace]) -> Tensor:
        return torch.from_numpy(
            np.stack([trace.logits for trace in traces]) * self.program[self.program.logits].output.scale
        )

    def _series(self, traces: Sequence[Trace], windows: int) -> Tensor:
        assert self.program.series is not None
        node = self.program[self.program.series]
        said = np.zeros((len(traces), windows, node.channels))
        for row, trace in enumerate(traces):
            assert trace.series is not None
            said[row, : len(trace.series)] = trace.series * node.output.scale
        return torch.from_numpy(said)


def _numbers(values: Tensor) -> NDArray[Any]:
    """Tokens as they are, dense values in float64."""
    return (values.double() if values.is_floating_point() else values).numpy()
