"""What one process does in a step, without Lava: a value and its head in, a value and its head out."""

from __future__ import annotations

import numpy as np

from .evaluator import Evaluator
from .head import COLUMNS, FLAG, GAP, POOL_GAP, RESET, VALID
from .parts import Part

Message = tuple[np.ndarray, np.ndarray]
"""Value (channels,) and head (3,), int64."""


class RunningPart:
    """A part and the states of its nodes.

    A step whose flag is not valid changes no state, whatever value comes with it. A strided layer marks its output
    valid at the last event of each window alone.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.evaluator = Evaluator(part.nodes)

    def step(self, value: np.ndarray, head: np.ndarray, total: np.ndarray | None = None) -> Message:
        """One step.

        A read-out, which has a value at every step, also takes ``total``, the head at the full rate: its output is
        valid whenever that is.
        """
        part, arriving = self.part, {}
        if head[FLAG] & RESET:
            self.evaluator.reset()
        if head[FLAG] & VALID:
            gap, pool_gap = head[GAP : GAP + 1], head[POOL_GAP : POOL_GAP + 1]
            arriving = {part.value_in: value, part.gap_in: gap, part.pool_gap_in: pool_gap}
        if total is not None and total[FLAG] & VALID:
            arriving[part.total_gap_in] = total[POOL_GAP : POOL_GAP + 1]
        edges = self.evaluator.step({edge: array for edge, array in arriving.items() if edge})
        return self._message(edges, head if total is None else total)

    def _message(self, edges: dict[str, np.ndarray], head: np.ndarray) -> Message:
        part, flag = self.part, int(head[FLAG])
        value = edges.get(part.value_out)
        if value is None:
            value, flag = np.zeros(part.channels_out, dtype=np.int64), flag & ~VALID
        sent = np.zeros(COLUMNS, dtype=np.int64)
        sent[FLAG] = flag
        for column, edge in ((GAP, part.gap_out), (POOL_GAP, part.pool_gap_out)):
            if edge in edges:
                sent[column] = edges[edge][0]
        return value, sent

    def row(self, value: np.ndarray, head: np.ndarray) -> np.ndarray:
        """What is recorded of a step: the flag, the value sent, the states after it."""
        return np.concatenate([head[FLAG : FLAG + 1], value, self.evaluator.state_codes()])


class FedPart(RunningPart):
    """A part whose first node, neurons or integrators, is fed by processes that multiply, and that delay by a step.

    So the head, which was not delayed, waits here for its product. ``V z`` of the last valid step arrives one step
    after it, and stays until the next valid one.
    """

    def __init__(self, part: Part) -> None:
        super().__init__(part)
        self._node = part.nodes[0]
        self._waiting = np.zeros(COLUMNS, dtype=np.int64)
        self._fired = False
        self._recurrent = np.zeros(part.nodes[0].channels, dtype=np.int64)

    def step_fed(self, product: np.ndarray, recurrent: np.ndarray, head: np.ndarray) -> Message:
        """One step. ``product`` belongs to the head of the step before, ``recurrent`` to the spikes sent then."""
        head, self._waiting = self._waiting, head
        if self._fired:
            self._recurrent = recurrent
        if head[FLAG] & RESET:
            self.evaluator.reset()
            self._recurrent = np.zeros_like(self._recurrent)
        self._fired = bool(head[FLAG] & VALID)
        edges = {}
        if self._fired:
            products = (product, self._recurrent) if "V" in self._node.synapses() else (product,)
            edges[self._node.name] = self.evaluator.states[self._node.name].advance(*products)
        return self._message(self.evaluator.step(edges), head)
