"""The state of a diagonal state-space node, event by event."""

from __future__ import annotations

import numpy as np

from ....program.arithmetic import round_half_up_shift, saturate
from ....program.nodes import DiagonalSSM


class SsmState:
    """The modes of a DiagonalSSM: ``codes`` (2, P) int64, real then imaginary."""

    def __init__(self, node: DiagonalSSM) -> None:
        self.node = node
        self.codes = np.zeros((2, node.modes), dtype=np.int64)
        self._weight = np.stack([node.input_re, node.input_im]).astype(np.int64)
        self._bias = np.stack([node.bias_re, node.bias_im]).astype(np.int64)

    def step(self, value: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Decay over the gap, drive, read. Shapes: value (H,), gap (1,) -> (2 P,)."""
        node = self.node
        ticks = min(int(gap[0]), node.max_gap)
        drive = round_half_up_shift(self._weight @ value + self._bias, node.drive_shift)
        if node.discretization != "zoh":
            self.codes = self._store(self._decay(self.codes, ticks) + drive)
        elif ticks > 0:
            self.codes = self._store(self._decay(self._store(self.codes + drive), ticks) - drive)
        read = round_half_up_shift(self.codes.ravel(), node.read_shift)
        return saturate(read, node.output)[0]

    def _store(self, codes: np.ndarray) -> np.ndarray:
        return saturate(codes, self.node.state_format)[0]

    def _decay(self, codes: np.ndarray, ticks: int) -> np.ndarray:
        node = self.node
        for digit in range(node.digits):
            if ticks >> digit & 1:
                real, imaginary = node.decay_re[digit].astype(np.int64), node.decay_im[digit].astype(np.int64)
                change = np.stack([real * codes[0] - imaginary * codes[1], real * codes[1] + imaginary * codes[0]])
                codes = self._store(codes + round_half_up_shift(change, node.decay_exponent[digit]))
        return codes
