"""The states of state-space nodes, event by event."""

from __future__ import annotations

import numpy as np

from ....program.arithmetic import round_half_up_shift, saturate
from ....program.nodes import ChannelSSM, DiagonalSSM


class SsmState:
    """The modes of a DiagonalSSM: ``codes`` (2, P) int64, real then imaginary; (1, P) of real modes."""

    def __init__(self, node: DiagonalSSM) -> None:
        self.node = node
        self.codes = np.zeros((node.parts, node.modes), dtype=np.int64)
        self._weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
        self._bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)

    def step(self, value: np.ndarray, gap: np.ndarray) -> np.ndarray:
        """Decay over the gap, drive, read. Shapes: value (H,), gap (1,) -> (channels,)."""
        node = self.node
        ticks = min(int(gap[0]), node.max_gap)
        total = (self._weight @ value + self._bias).reshape(self.codes.shape)
        drive = round_half_up_shift(total, node.drive_shift)
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
                change = node.decay_re[digit].astype(np.int64) * codes
                if not node.real:
                    change = change + node.decay_im[digit].astype(np.int64) * np.stack([-codes[1], codes[0]])
                codes = self._store(codes + round_half_up_shift(change, node.decay_exponent[digit]))
        return codes


class ChannelState:
    """The modes of a ChannelSSM: ``codes`` (2, M, H) int64, real then imaginary."""

    def __init__(self, node: ChannelSSM) -> None:
        self.node = node
        self.codes = np.zeros((2, node.modes, node.channels), dtype=np.int64)
        self._decay = node.decay_re.astype(np.int64), node.decay_im.astype(np.int64)
        self._weight = np.stack([node.output_re, node.output_im]).astype(np.int64)
        self._feedthrough = node.feedthrough.astype(np.int64)

    def step(self, value: np.ndarray) -> np.ndarray:
        """Decay, drive, read. Shapes: value (H,) -> (H,)."""
        node, (re, im), (d_re, d_im) = self.node, self.codes, self._decay
        change = np.stack([d_re * re - d_im * im, d_re * im + d_im * re])
        codes = self._store(self.codes + round_half_up_shift(change, node.decay_exponent))
        codes[0] = self._store(codes[0] + round_half_up_shift(value, node.drive_shift))
        self.codes = codes
        total = ((self._weight * codes).sum(axis=(0, 1)) << node.state_shift) + node.bias
        total = total + (self._feedthrough * value << node.feedthrough_shift)
        return saturate(round_half_up_shift(total, node.output_shift), node.output)[0]

    def _store(self, codes: np.ndarray) -> np.ndarray:
        return saturate(codes, self.node.state_format)[0]
