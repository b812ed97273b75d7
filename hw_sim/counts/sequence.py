"""Nodes that remember: the state-space node, pooling, read-outs."""

from __future__ import annotations

import numpy as np

from ...program import ProgramError
from ...program.arithmetic import round_half_up_shift, saturate
from ...program.nodes import DiagonalSSM, EventPool, Readout
from ...program.nodes.inputs import GAP_FORMAT
from .edges import Edges
from .memory import digit_bits, fixed_parameter_bits, pool_bits, register_bits
from .records import Tally
from .stateless import matrix_products, read_fixed


def moving_events(node: DiagonalSSM, gap: np.ndarray) -> np.ndarray:
    """Events (n,) at which the node does anything: all, but for zoh those with a gap of zero."""
    return (gap > 0) | (node.discretization != "zoh")


def diagonal_ssm(node: DiagonalSSM, edges: Edges, tally: Tally) -> None:
    """Drive, decay steps of the gap's set digits, state updates; the state is replayed to see the zeros."""
    u, gap = edges.inputs(node)[0], np.minimum(edges.inputs(node)[1][:, 0], node.max_gap)
    moving = moving_events(node, gap)
    runs, modes = int(moving.sum()), node.modes
    result, width = register_bits(node.drive_accumulator), node.state_width
    weight = np.concatenate([node.input_re, node.input_im])
    matrix_products(tally, "B", weight, (node.input_width, node.format.width), result, u[moving])
    biases = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
    tally.add("add", "bias", (result, result), result, 2 * runs * modes, runs * biases)
    tally.add("round", "drive", (result, 0), width, 2 * runs * np.count_nonzero(node.drive_shift > 0))
    stores = 2 if node.discretization == "zoh" else 1
    tally.add("add", "drive", (width, width), width, 2 * runs * modes * stores)
    _decays(node, edges, u, gap, tally)
    count = edges.output(node).size
    tally.add("round", "read", (width, 0), node.output.width, count * (node.read_shift > 0))
    tally.state_updates += runs * modes
    bits = 2 * runs * modes * width
    tally.move(state_read=bits, state_written=bits)
    read_fixed(tally, fixed_parameter_bits(node), runs)


def _decays(node: DiagonalSSM, edges: Edges, u: np.ndarray, gap: np.ndarray, tally: Tally) -> None:
    """Count each digit's products on the state as it then was: all events at once, as the trace has their states."""
    states, modes = edges.states(node), node.modes
    before = np.concatenate([np.zeros((1, 2 * modes), dtype=np.int64), states[:-1]])
    drive = u @ np.concatenate([node.input_re, node.input_im]).astype(np.int64).T
    drive = drive + np.concatenate([node.bias_re, node.bias_im]).astype(np.int64)
    drive = round_half_up_shift(drive, np.concatenate([node.drive_shift, node.drive_shift]))
    zoh, form = node.discretization == "zoh", node.state_format
    x = saturate(before + drive, form)[0] if zoh else before
    result = register_bits(node.decay_accumulator)
    for digit in range(node.digits):
        chosen = (gap >> digit) & 1 == 1
        d_re, d_im = node.decay_re[digit].astype(np.int64), node.decay_im[digit].astype(np.int64)
        re, im = x[chosen, :modes], x[chosen, modes:]
        steps = int(chosen.sum()) * modes
        codes = (d_re != 0).astype(np.int64) + (d_im != 0)
        effective = ((re != 0) * codes).sum() + ((im != 0) * codes).sum()
        tally.add("multiply", "decay", (node.decay_width, node.state_width), result, 4 * steps, effective)
        tally.add("add", "decay", (result, result), result, 2 * steps)
        tally.add("round", "decay", (result, 0), node.state_width, 2 * steps)
        tally.add("add", "state", (node.state_width, node.state_width), node.state_width, 2 * steps)
        tally.digit_steps += steps
        read_fixed(tally, digit_bits(node), int(chosen.sum()))
        exponent = node.decay_exponent[digit]
        step = [
            round_half_up_shift(d_re * re - d_im * im, exponent),
            round_half_up_shift(d_re * im + d_im * re, exponent),
        ]
        x = x.copy()
        x[chosen] = saturate(x[chosen] + np.concatenate(step, axis=1), form)[0]
    x = saturate(x - drive if zoh else x + drive, form)[0]
    if zoh:
        x = np.where((gap > 0)[:, None], x, before)
    if not np.array_equal(x, states):
        raise ProgramError(f"node {node.name}: the trace's states do not follow from its values; trace the run anew")


def event_pool(node: EventPool, edges: Edges, tally: Tally) -> None:
    """Sums of windows; the first event of a window is stored, the last is added and read out."""
    x, outputs = edges.inputs(node)[0], len(edges.output(node))
    events, size, bits = len(x), node.size, pool_bits(node)
    position = np.arange(events) % node.window
    later, kept = int(np.count_nonzero(position)), int(np.count_nonzero(position < node.window - 1))
    if node.mode == "first":
        tally.move(state_read=outputs * bits, state_written=int(np.count_nonzero(position == 0)) * bits)
        return
    tally.move(state_read=later * bits, state_written=kept * bits)
    timed = node.mode == "time"
    width = 64 if timed or node.format == GAP_FORMAT else node.format.width + (node.window - 1).bit_length()
    tally.add("add", "sum", (width, width), width, later * size)
    if timed:
        weight = edges.inputs(node)[1]
        widths = (GAP_FORMAT.width, node.format.width)
        tally.add("multiply", "weighting", widths, 64, x.size, np.count_nonzero((x != 0) & (weight != 0)))
        tally.add("add", "weighted sum", (64, 64), 64, later * size)
        tally.add("add", "weights", (64, 64), 64, later)
    if node.divides:
        tally.add("divide", "mean", (width, width), node.output.width, outputs * size)


def readout(node: Readout, edges: Edges, tally: Tally) -> None:
    """Sums over the sample, read once after its last event."""
    x = edges.inputs(node)[0]
    count, size, width = len(x), node.size, node.output.width
    last = min(count, node.window) if node.mode == "window" else 0
    if node.mode in ("mean", "time"):
        tally.add("add", "sum", (64, 64), 64, x.size)
        tally.add("add", "count", (64, 64), 64, count)
        bits = 64 * (size + 1)
        tally.move(state_read=count * bits + bits, state_written=count * bits)
    if node.mode == "time":
        weight = edges.inputs(node)[1]
        widths = (GAP_FORMAT.width, node.format.width)
        tally.add("multiply", "weighting", widths, 64, x.size, np.count_nonzero((x != 0) & (weight != 0)))
        tally.add("add", "weighted sum", (64, 64), 64, x.size)
        tally.add("add", "time", (64, 64), 64, edges.events)
        bits = 64 * (count * size + edges.events)
        tally.move(state_read=bits + 64 * (size + 1), state_written=bits)
    if node.mode == "window":
        tally.add("add", "sum", (64, 64), 64, max(last - 1, 0) * size)
        tally.move(state_read=last * size * node.format.width, state_written=x.size * node.format.width)
    if node.mode in ("last", "forget"):
        tally.move(state_read=size * width, state_written=x.size * width)
    if node.mode == "forget":
        moved = max(count - 1, 0) * size
        tally.add("add", "difference", (width + 1, width + 1), width + 1, moved)
        tally.add("round", "difference", (width + 1, 0), width, moved)
        tally.add("add", "value", (width, width), width, moved)
        tally.move(state_read=moved * width)
    if node.mode in ("mean", "time", "window"):
        tally.add("divide", "mean", (64, 64), width, size)
