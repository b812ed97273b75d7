"""The reference of the state-space nodes: a loop over events, vectorised over the batch."""

from __future__ import annotations

import numpy as np

from ..arithmetic import round_half_up_shift
from ..nodes import ChannelSSM, DiagonalSSM, Node
from .batch import Batch, NodeFunction


def diagonal_ssm(node: DiagonalSSM, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """The diagonal recurrence, event by event; the state after each event is kept when traced."""
    u, gap = inputs[0], inputs[1][..., 0]
    clipped = np.minimum(gap, node.max_gap)
    batch.clipped_gaps[node.name] += ((gap > node.max_gap) & valid).sum(axis=1)
    v = drive(node, u)
    samples, events = gap.shape
    x = np.zeros((samples, node.channels), dtype=np.int64)
    states = np.zeros((samples, events, node.channels), dtype=np.int64)
    for k in range(events):
        n, live = clipped[:, k], valid[:, k]
        if node.discretization == "zoh":
            moving = live & (n > 0)
            held = _decay(node, _store_state(node, x + v[:, k], moving, batch), n, live, batch)
            held = _store_state(node, held - v[:, k], moving, batch)
            x = np.where((n > 0)[:, None], held, x)
        else:
            x = _store_state(node, _decay(node, x, n, live, batch) + v[:, k], live, batch)
        states[:, k] = x
    if batch.trace:
        batch.states[node.name] = states
    return batch.store(node, round_half_up_shift(states, node.read_shift), node.output, valid)


def drive(node: DiagonalSSM, u: np.ndarray) -> np.ndarray:
    """``rhu(B u + b)``, not saturated. Shapes: u (..., H) -> (..., 2 P), real parts, then imaginary parts if any."""
    weight = np.concatenate([node.input_re, node.input_im]).astype(np.int64)
    bias = np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    return round_half_up_shift(u @ weight.T + bias, node.channel_shift)


def decay_change(node: DiagonalSSM, digit: int, x: np.ndarray) -> np.ndarray:
    """``rhu(d x)`` of one digit, both components from the same x. Shapes: x (..., 2 P), or (..., P) of real modes."""
    d_re, exponent = node.decay_re[digit].astype(np.int64), node.decay_exponent[digit]
    if node.real:
        return round_half_up_shift(d_re * x, exponent)
    re, im = np.split(x, 2, axis=-1)
    return np.concatenate(_complex_change(d_re, node.decay_im[digit], exponent, re, im), axis=-1)


def _store_state(node: DiagonalSSM, value: np.ndarray, live: np.ndarray, batch: Batch) -> np.ndarray:
    return batch.store(node, value, node.state_format, live)


def _decay(node: DiagonalSSM, x: np.ndarray, gap: np.ndarray, live: np.ndarray, batch: Batch) -> np.ndarray:
    """The decays of the gap's binary digits, least significant first."""
    for digit in range(node.digits):
        chosen = (gap >> digit) & 1 == 1
        if chosen.any():
            moved = _store_state(node, x + decay_change(node, digit, x), live & chosen, batch)
            x = np.where(chosen[:, None], moved, x)
    return x


def channel_ssm(node: ChannelSSM, inputs: list[np.ndarray], valid: np.ndarray, batch: Batch) -> np.ndarray:
    """Decay, drive and read of every channel by itself, step by step."""
    u = inputs[0]
    samples, steps, channels = u.shape
    drives = round_half_up_shift(u[:, :, None, :], node.drive_shift)
    re = im = np.zeros((samples, node.modes, channels), dtype=np.int64)
    states = np.zeros((samples, steps, 2, node.modes, channels), dtype=np.int64)
    for t in range(steps):
        live = valid[:, t, None]
        step_re, step_im = channel_decay(node, re, im)
        re = batch.store(node, re + step_re, node.state_format, live)
        im = batch.store(node, im + step_im, node.state_format, live)
        re = batch.store(node, re + drives[:, t], node.state_format, live)
        states[:, t, 0], states[:, t, 1] = re, im
    if batch.trace:
        batch.states[node.name] = states.reshape(samples, steps, 2 * node.modes * channels)
    return batch.store(node, channel_output(node, states[:, :, 0], states[:, :, 1], u), node.output, valid)


def channel_decay(node: ChannelSSM, re: np.ndarray, im: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``rhu(d x)``, both components. Shapes: (..., M, H) each."""
    return _complex_change(node.decay_re, node.decay_im, node.decay_exponent, re, im)


def _complex_change(
    d_re: np.ndarray, d_im: np.ndarray, exponent: np.ndarray, re: np.ndarray, im: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``rhu(d x)``, both components; the codes of d broadcast against those of x."""
    d_re, d_im = d_re.astype(np.int64), d_im.astype(np.int64)
    return (
        round_half_up_shift(d_re * re - d_im * im, exponent),
        round_half_up_shift(d_re * im + d_im * re, exponent),
    )


def channel_output(node: ChannelSSM, re: np.ndarray, im: np.ndarray, u: np.ndarray) -> np.ndarray:
    """``rhu(C x + D u + b)``, not saturated. Shapes: re, im (..., M, H), u (..., H) -> (..., H)."""
    products = node.output_re.astype(np.int64) * re + node.output_im.astype(np.int64) * im
    total = np.left_shift(products.sum(axis=-2), node.state_shift) + node.bias.astype(np.int64)
    total = total + np.left_shift(node.feedthrough.astype(np.int64) * u, node.feedthrough_shift)
    return round_half_up_shift(total, node.output_shift)


FUNCTIONS: dict[type[Node], NodeFunction] = {DiagonalSSM: diagonal_ssm, ChannelSSM: channel_ssm}
