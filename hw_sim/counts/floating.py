"""The same graph in float32: what a straightforward float implementation executes for the same events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...program.nodes import (
    LIF,
    AdaptiveLIF,
    Add,
    BatchNorm,
    DiagonalSSM,
    Embedding,
    EventPool,
    LayerNorm,
    LeakyIntegrator,
    Linear,
    LoihiLIF,
    Lookup,
    Multiply,
    Neurons,
    Node,
    Readout,
)
from . import memory
from .edges import Edges
from .records import Tally
from .sequence import moving_events

WIDTH = 32

FUNCTIONS = {
    # (multiplies, adds, divisions, transcendental functions) an element
    "gelu": (6, 2, 0, 1),  # 0.5 x (1 + tanh(c (x + 0.044715 x^3)))
    "sigmoid": (0, 1, 1, 1),  # 1 / (1 + exp(-x))
}
"""Cost of a non-linearity that the program holds as a table; one transcendental function for any other."""


def _op(tally: Tally, kind: str, what: str, number: int) -> None:
    tally.add(kind, what, (WIDTH, WIDTH), WIDTH, number)


def _read(tally: Tally, numbers: int) -> None:
    tally.move(weights=numbers * WIDTH, weights_dense=numbers * WIDTH)


def _linear(node: Linear, edges: Edges, tally: Tally) -> None:
    runs, bias = len(edges.output(node)), int(np.count_nonzero(node.bias))
    for edge, weight in zip(node.inputs, node.weights, strict=True):
        _op(tally, "mac", edge, runs * weight.size)
        _read(tally, runs * weight.size)
    _op(tally, "add", "bias", runs * bias)
    _read(tally, runs * bias)


def _embedding(node: Embedding, edges: Edges, tally: Tally) -> None:
    _op(tally, "gather", "table", len(edges.output(node)) * node.table.size)
    _read(tally, edges.output(node).size)


def _lookup(node: Lookup, edges: Edges, tally: Tally) -> None:
    count = edges.output(node).size
    costs = FUNCTIONS.get(node.function, (0, 0, 0, 1))
    for kind, cost in zip(("multiply", "add", "divide", "function"), costs, strict=True):
        _op(tally, kind, node.function, cost * count)


def _multiply(node: Multiply, edges: Edges, tally: Tally) -> None:
    _op(tally, "multiply", "product", edges.output(node).size)


def _add(node: Add, edges: Edges, tally: Tally) -> None:
    _op(tally, "add", "sum", edges.output(node).size * (len(node.inputs) - 1))


def _batch_norm(node: BatchNorm, edges: Edges, tally: Tally) -> None:
    count = edges.output(node).size
    _op(tally, "multiply", "scale", count)
    _op(tally, "add", "bias", count)
    _read(tally, 2 * count)


def _layer_norm(node: LayerNorm, edges: Edges, tally: Tally) -> None:
    """Mean; centred values; mean square; 1 / sqrt(variance + eps); scale; gamma and beta where they are not folded."""
    count, runs = edges.output(node).size, len(edges.output(node))
    _op(tally, "multiply", "mean and variance", 2 * runs)
    _op(tally, "add", "sums", 2 * runs * (node.size - 1) + runs)
    _op(tally, "add", "centre", count)
    _op(tally, "multiply", "squares", count)
    _op(tally, "root", "deviation", runs)
    _op(tally, "divide", "deviation", runs)
    _op(tally, "multiply", "scale", count)
    _op(tally, "multiply", "gamma", count if node.gamma.size else 0)
    _op(tally, "add", "beta", count if node.beta.size else 0)
    _read(tally, runs * (node.gamma.size + node.beta.size))


def _diagonal_ssm(node: DiagonalSSM, edges: Edges, tally: Tally) -> None:
    """``x <- exp(rate n) x + B u``: where time has passed a complex exponential and a complex product a mode."""
    gap = edges.inputs(node)[1][:, 0]
    moving, decays = int(moving_events(node, gap).sum()), int(np.count_nonzero(gap)) * node.modes
    bias = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
    _op(tally, "mac", "B", moving * 2 * node.input_re.size)
    _op(tally, "add", "bias", moving * bias)
    _op(tally, "add", "drive", moving * 2 * node.modes * (2 if node.discretization == "zoh" else 1))
    _op(tally, "function", "exp, cos, sin", 3 * decays)
    _op(tally, "multiply", "decay factor", 4 * decays)
    _op(tally, "multiply", "decay", 4 * decays)
    _op(tally, "add", "decay", 2 * decays)
    tally.state_updates += moving * node.modes
    bits = moving * 2 * node.modes * WIDTH
    tally.move(state_read=bits, state_written=bits)
    _read(tally, moving * int(2 * node.input_re.size + bias) + 2 * decays)


def _event_pool(node: EventPool, edges: Edges, tally: Tally) -> None:
    x, outputs = edges.inputs(node)[0], edges.output(node)
    position = np.arange(len(x)) % node.window
    later, kept = int(np.count_nonzero(position)), int(np.count_nonzero(position < node.window - 1))
    bits = state_bits(node)
    if node.mode == "first":
        tally.move(state_read=len(outputs) * bits, state_written=int(np.count_nonzero(position == 0)) * bits)
        return
    tally.move(state_read=later * bits, state_written=kept * bits)
    _op(tally, "add", "sum", later * node.size)
    if node.mode == "mean":
        _op(tally, "multiply", "mean", outputs.size)
    if node.mode == "time":
        _op(tally, "multiply", "weighting", x.size)
        _op(tally, "add", "weights", later)
        _op(tally, "divide", "mean", outputs.size)


def _readout(node: Readout, edges: Edges, tally: Tally) -> None:
    x = edges.inputs(node)[0]
    count, size = len(x), node.size
    last = min(count, node.window)
    moved = max(count - 1, 0) * size
    sums = {"mean": x.size + count, "time": x.size, "window": max(last - 1, 0) * size, "forget": 2 * moved, "last": 0}
    _op(tally, "add", "sum", sums[node.mode])
    if node.mode == "forget":
        _op(tally, "multiply", "difference", moved)
    if node.mode == "time":
        _op(tally, "multiply", "weighting", x.size)
        _op(tally, "add", "time", edges.events)
    if node.mode in ("mean", "time", "window"):
        _op(tally, "divide", "mean", size)
    read, written = {
        "mean": ((count + 1) * (size + 1), count * (size + 1)),
        "time": ((count + 1) * size + edges.events + 1, count * size + edges.events),
        "window": (last * size, x.size),
        "forget": (moved + size, x.size),
        "last": (size, x.size),
    }[node.mode]
    tally.move(state_read=read * WIDTH, state_written=written * WIDTH)


def _neurons(node: Neurons, edges: Edges, tally: Tally) -> None:
    """W x + V z + bias; two products for the potential, three for the adaptation, with constants of each neuron."""
    runs, count = len(edges.output(node)), edges.output(node).size
    bias, adaptive = int(np.count_nonzero(node.bias)), isinstance(node, AdaptiveLIF)
    _op(tally, "mac", "W", runs * node.input.size)
    _op(tally, "mac", "V", runs * node.recurrent.size)
    _op(tally, "add", "bias", runs * bias)
    _op(tally, "multiply", "potential", 2 * count)
    _op(tally, "add", "potential", (2 if adaptive else 1) * count)
    _op(tally, "compare", "threshold", count)
    _op(tally, "reset", "potential", count)
    if adaptive:
        _op(tally, "multiply", "adaptation", 3 * count)
        _op(tally, "add", "adaptation", 2 * count)
    _membranes(node, runs, tally)


def _loihi_lif(node: LoihiLIF, edges: Edges, tally: Tally) -> None:
    """Two decaying states; the threshold and both decays serve the layer."""
    runs, count = len(edges.output(node)), edges.output(node).size
    _op(tally, "mac", "W", runs * node.weight.size)
    _op(tally, "mac", "V", runs * node.recurrent.size)
    _op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    _op(tally, "multiply", "decay", 2 * count)
    _op(tally, "add", "states", 2 * count)
    _op(tally, "compare", "threshold", count)
    _op(tally, "reset", "v", count)
    _membranes(node, runs, tally)


def _leaky_integrator(node: LeakyIntegrator, edges: Edges, tally: Tally) -> None:
    """W absorbs 1 - decay, as in the program."""
    runs, count = len(edges.output(node)), edges.output(node).size
    _op(tally, "mac", "W", runs * node.weight.size)
    _op(tally, "add", "bias", runs * int(np.count_nonzero(node.bias)))
    _op(tally, "multiply", "decay", count)
    _op(tally, "add", "potential", count)
    _membranes(node, runs, tally)


def _membranes(node: Neurons | LoihiLIF | LeakyIntegrator, runs: int, tally: Tally) -> None:
    tally.state_updates += runs * node.channels
    bits = runs * state_bits(node)
    tally.move(state_read=bits, state_written=bits)
    _read(tally, runs * (parameter_bits(node) // WIDTH))


COUNTERS: dict[type[Node], Callable[[Node, Edges, Tally], None]] = {
    AdaptiveLIF: _neurons,
    Add: _add,
    BatchNorm: _batch_norm,
    DiagonalSSM: _diagonal_ssm,
    Embedding: _embedding,
    EventPool: _event_pool,
    LayerNorm: _layer_norm,
    LeakyIntegrator: _leaky_integrator,
    LIF: _neurons,
    Linear: _linear,
    LoihiLIF: _loihi_lif,
    Lookup: _lookup,
    Multiply: _multiply,
    Readout: _readout,
}


def parameter_bits(node: Node) -> int:
    """Bits of the parameters, 32 each; a non-linearity needs no table, a mode one complex rate."""
    if isinstance(node, Linear):
        return WIDTH * (sum(weight.size for weight in node.weights) + int(np.count_nonzero(node.bias)))
    if isinstance(node, Embedding):
        return WIDTH * node.table.size
    if isinstance(node, DiagonalSSM):
        bias = np.count_nonzero(node.bias_re) + np.count_nonzero(node.bias_im)
        return WIDTH * (2 * node.input_re.size + int(bias) + 2 * node.modes)
    if isinstance(node, BatchNorm):
        return WIDTH * 2 * node.channels
    if isinstance(node, LayerNorm):
        return WIDTH * (node.gamma.size + node.beta.size)
    if isinstance(node, Neurons):
        numbers = node.input.size + node.recurrent.size + int(np.count_nonzero(node.bias))
        return WIDTH * (numbers + len(node.constants) * node.neurons + memory.thresholds(node))
    if isinstance(node, LoihiLIF):
        return WIDTH * (node.weight.size + node.recurrent.size + int(np.count_nonzero(node.bias)) + 3)
    if isinstance(node, LeakyIntegrator):
        return WIDTH * (node.weight.size + int(np.count_nonzero(node.bias)) + node.decay.size)
    return 0


def state_bits(node: Node) -> int:
    """Bits of the state, 32 a number."""
    if isinstance(node, DiagonalSSM):
        return WIDTH * 2 * node.modes
    if isinstance(node, EventPool):
        return WIDTH * (node.size + (node.mode == "time"))
    if isinstance(node, Readout):
        extra = node.mode in ("mean", "time")
        return WIDTH * (node.size * max(node.window, 1) + extra)
    if isinstance(node, Neurons):
        return WIDTH * (node.state_fracs.size + (node.neurons if memory.remembers_spikes(node) else 0))
    if isinstance(node, LoihiLIF):
        return WIDTH * (2 + node.is_recurrent) * node.neurons
    if isinstance(node, LeakyIntegrator):
        return WIDTH * node.channels
    return 0
