"""The layers of a NIR graph: products, then neurons, one behind the other; all else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...errors import PumiceError
from .tree import Graph, Node

LAYERS_ALONE = "Pumice holds chains of Affine or Linear and LIF, CubaLIF or IF nodes, an LI or I at the end"
REFUSED = {
    "CubaLI": "has a second state, the synaptic current; train it with leaky integrators (LI)",
    "Conv1d": "is a convolution; train the network with linear layers",
    "Conv2d": "is a convolution; train the network with linear layers",
    "SumPool2d": "pools over space; reduce the events' resolution before the network instead",
    "AvgPool2d": "pools over space; reduce the events' resolution before the network instead",
    "Delay": "delays its input; train the network without delays",
    "Threshold": "compares without a state; use LIF neurons",
    "Scale": "scales each value; multiply it into the weights of the next Affine node",
}
PRODUCTS = ("Affine", "Linear")
SPIKING = ("LIF", "CubaLIF", "IF")
READING = ("LI", "I")
NEARLY = 1e-6
"""How far float32 leaves a gain of tau / dt dt / tau from 1, at most."""
MOST_ENTRIES = 1 << 26
MOST_MADE = 2048
"""Rows and columns of a matrix that a file does not hold and a model does: of ones on the diagonal, or zeros."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons and the product that drives them, float64, as the file has them.

    Attributes:
        name: of the neurons' node.
        kind: its type.
        weight: (H, F); with ``bias`` (H,) it gives I.
        recurrent: (H, H) or None.
        tau: (H,) of the potential, infinite without a leak.
        r, v_leak: (H,).
        threshold: (H,); None of a node that does not spike.
        tau_syn, w_in: (H,) of the synaptic current; None without one.
    """

    name: str
    kind: str
    weight: np.ndarray
    bias: np.ndarray
    recurrent: np.ndarray | None
    tau: np.ndarray
    r: np.ndarray
    v_leak: np.ndarray
    threshold: np.ndarray | None
    tau_syn: np.ndarray | None = None
    w_in: np.ndarray | None = None

    def gain(self, dt: float) -> np.ndarray:
        """What a step of I adds to a potential, (H,): r dt / tau, or r dt without a leak, and of a synaptic current
        times w_in dt / tau_syn. What float32 leaves of 1 is 1.
        """
        gain = _one(self.r * dt / np.where(np.isfinite(self.tau), self.tau, 1.0))
        if self.tau_syn is not None and self.w_in is not None:
            gain = gain * _one(self.w_in * dt / self.tau_syn)
        return gain


@dataclass
class _Walk:
    """What has been passed: the product since the last neurons, and the layers."""

    graph: Graph
    width: int
    product: tuple[np.ndarray, np.ndarray] | None = None
    layers: list[Layer] = field(default_factory=list)


def _one(gain: np.ndarray) -> np.ndarray:
    return np.where(np.abs(gain - 1) < NEARLY, 1.0, gain)


def read_chain(graph: Graph) -> list[Layer]:
    """The layers from input to output; an LI or I node can only be the last.

    Raises:
        PumiceError: a node, or a way through the graph, that is no such chain; names the first node.
    """
    source, sink = (_only(graph, kind) for kind in ("Input", "Output"))
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        if a not in after or b not in after:
            raise graph.refusal(a if a not in after else b, "is named by an edge and is not there; write it anew")
        after[a].append(b)
    walk, name, seen = _Walk(graph, _width(graph, source)), source.name, {source.name}
    while name != sink.name:
        loops = [b for b in after[name] if after[b] == [name]]
        onward = [b for b in after[name] if b not in loops]
        if len(onward) != 1:
            raise graph.refusal(name, f"leads to {len(onward)} others; {LAYERS_ALONE}, which part and meet nowhere")
        _take(walk, graph.nodes[name], [graph.nodes[b] for b in loops])
        seen |= {name, *loops}
        name = onward[0]
        if name in seen:
            raise graph.refusal(name, f"is reached a second time; {LAYERS_ALONE}, and one product from it to itself")
        if walk.layers and walk.layers[-1].threshold is None and name != sink.name:
            last = walk.layers[-1]
            raise graph.refusal(last.name, f"is an {last.kind} node before others; only the last layer can be one")
    left = [key for key in graph.nodes if key not in seen and key != sink.name]
    if left:
        raise graph.refusal(left[0], f"lies on no way from input to output; {LAYERS_ALONE}")
    if walk.product is not None or not walk.layers:
        raise graph.refusal(sink.name, "reads a product and no neurons; end the network with neurons")
    return walk.layers


def _only(graph: Graph, kind: str) -> Node:
    found = [node for node in graph.nodes.values() if node.kind == kind]
    if len(found) != 1:
        raise PumiceError(f"{graph.path} has {len(found)} {kind} nodes, Pumice holds networks with one; split it")
    return found[0]


def _width(graph: Graph, source: Node) -> int:
    shape = source.fields.get("shape")
    if not isinstance(shape, np.ndarray) or shape.dtype.kind not in "iu" or not shape.size or np.any(shape < 1):
        raise graph.refusal(source.name, "does not say the shape of its input; write it anew")
    width = int(np.prod(shape.astype(object)))
    if width > MOST_ENTRIES:
        raise graph.refusal(source.name, f"has {width:,} inputs, the limit is {MOST_ENTRIES:,}")
    return width


def _take(walk: _Walk, node: Node, loops: list[Node]) -> None:
    neurons = node.kind in (*SPIKING, *READING)
    if loops and (node.kind not in SPIKING or len(loops) > 1 or loops[0].kind not in PRODUCTS):
        raise walk.graph.refusal(loops[0].name, "leads back to where it comes from; only one product of neurons can")
    if node.kind in PRODUCTS:
        weight, bias = _product(walk.graph, node, walk.width)
        if walk.product is not None:
            weight, bias = weight @ walk.product[0], weight @ walk.product[1] + bias
        walk.product, walk.width = (weight, bias), len(bias)
    elif neurons:
        walk.layers.append(_neurons(walk, node, loops[0] if loops else None))
        walk.product = None
    elif node.kind not in ("Input", "Flatten"):  # rows of input are flat here
        raise walk.graph.refusal(node.name, f"({node.kind}) {REFUSED.get(node.kind, 'is unknown; ' + LAYERS_ALONE)}")


def _product(graph: Graph, node: Node, width: int) -> tuple[np.ndarray, np.ndarray]:
    weight = _numbers(graph, node, "weight")
    if weight.ndim != 2 or weight.shape[1] != width:
        raise graph.refusal(node.name, f"has weights of shape {weight.shape} for {width} inputs; write it anew")
    bias = _numbers(graph, node, "bias").ravel() if node.kind == "Affine" else np.zeros(len(weight))
    if len(bias) != len(weight):
        raise graph.refusal(node.name, f"has {len(bias)} biases for {len(weight)} outputs; write it anew")
    return weight, bias


def _neurons(walk: _Walk, node: Node, back: Node | None) -> Layer:
    graph, width = walk.graph, walk.width
    if walk.product is None:
        if width > MOST_MADE:
            raise graph.refusal(node.name, f"reads {width:,} values without a product; put an Affine node before it")
        walk.product = np.eye(width), np.zeros(width)
    weight, bias = walk.product
    each = {"tau": np.full(width, np.inf), "v_leak": np.zeros(width), "r": _each(graph, node, "r", width)}
    if node.kind == "CubaLIF":
        each |= {name: _each(graph, node, name, width) for name in ("tau_syn", "w_in", "v_leak")}
        each["tau"] = _each(graph, node, "tau_mem", width)
        if np.any(each["v_leak"] != 0):
            raise graph.refusal(node.name, "leaks to other values than 0 (v_leak); shift its potential and threshold")
    elif node.kind in ("LIF", "LI"):
        each |= {name: _each(graph, node, name, width) for name in ("tau", "v_leak")}
    for name in ("tau", "tau_syn"):
        if name in each and np.any(each[name] <= 0):
            raise graph.refusal(node.name, f"has a time constant of {each[name].min():g} s; it must be above 0")
    threshold = _each(graph, node, "v_threshold", width) if node.kind in SPIKING else None
    if threshold is not None and "v_reset" in node.fields and np.any(_each(graph, node, "v_reset", width) != 0):
        raise graph.refusal(node.name, "resets to other values than 0 (v_reset); shift its potential and threshold")
    recurrent = None
    if back is not None:
        recurrent, more = _product(graph, back, width)
        if len(more) != width:
            raise graph.refusal(back.name, f"gives {len(more)} values to {width} neurons; write it anew")
        bias = bias + more
    return Layer(node.name, node.kind, weight, bias, recurrent, **each, threshold=threshold)


def _each(graph: Graph, node: Node, name: str, count: int) -> np.ndarray:
    values = _numbers(graph, node, name).ravel()
    if values.size not in (1, count):
        raise graph.refusal(node.name, f"has {values.size} values of {name} for {count} neurons; write it anew")
    return np.broadcast_to(values, (count,)).copy()


def _numbers(graph: Graph, node: Node, name: str) -> np.ndarray:
    values = node.fields.get(name)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf" or not values.size:
        raise graph.refusal(node.name, f"({node.kind}) has no numbers called {name}; write it anew")
    if values.size > MOST_ENTRIES:
        raise graph.refusal(node.name, f"has {values.size:,} values of {name}, the limit is {MOST_ENTRIES:,}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise graph.refusal(node.name, f"holds values of {name} that are not finite; train it anew")
    return values
