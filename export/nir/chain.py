"""The layers of a NIR graph: products, then LIF neurons, one behind the other; all else is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...errors import PumiceError
from .tree import Graph, Node

LAYERS_ALONE = "Pumice holds chains of Affine or Linear and LIF nodes, an LI at the end"
REFUSED = {
    "CubaLIF": "has a second state, the synaptic current; train it with LIF neurons (snn.Leaky in snnTorch)",
    "CubaLI": "has a second state, the synaptic current; train it with leaky integrators",
    "IF": "has no leak, and a time constant is finite here; train it with a long one",
    "I": "has no leak, and a time constant is finite here; train it with a long one",
    "Conv1d": "is a convolution; train the network with linear layers",
    "Conv2d": "is a convolution; train the network with linear layers",
    "SumPool2d": "pools over space; reduce the events' resolution before the network instead",
    "AvgPool2d": "pools over space; reduce the events' resolution before the network instead",
    "Delay": "delays its input; train the network without delays",
    "Threshold": "compares without a state; use LIF neurons",
    "Scale": "scales each value; multiply it into the weights of the next Affine node",
}
PRODUCTS = ("Affine", "Linear")
MOST_ENTRIES = 1 << 26
MOST_MADE = 2048
"""Rows and columns of a matrix that a file does not hold and a model does: of ones on the diagonal, or zeros."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Neurons and the product that drives them, float64, as the file has them.

    Attributes:
        name: of the LIF or LI node.
        weight: (H, F); with ``bias`` (H,) it gives I.
        recurrent: (H, H) or None.
        tau, r, v_leak: (H,).
        threshold: (H,); None of an LI node.
    """

    name: str
    weight: np.ndarray
    bias: np.ndarray
    recurrent: np.ndarray | None
    tau: np.ndarray
    r: np.ndarray
    v_leak: np.ndarray
    threshold: np.ndarray | None


@dataclass
class _Walk:
    """What has been passed: the product since the last neurons, and the layers."""

    graph: Graph
    width: int
    product: tuple[np.ndarray, np.ndarray] | None = None
    layers: list[Layer] = field(default_factory=list)


def read_chain(graph: Graph) -> list[Layer]:
    """The layers from input to output; an LI node can only be the last.

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
            raise graph.refusal(walk.layers[-1].name, "is an LI node before others; only the last layer can be one")
    left = [key for key in graph.nodes if key not in seen and key != sink.name]
    if left:
        raise graph.refusal(left[0], f"lies on no way from input to output; {LAYERS_ALONE}")
    if walk.product is not None or not walk.layers:
        raise graph.refusal(sink.name, "reads a product and no neurons; end the network with LIF or LI nodes")
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
    neurons = node.kind in ("LIF", "LI")
    if loops and (node.kind != "LIF" or len(loops) > 1 or loops[0].kind not in PRODUCTS):
        raise walk.graph.refusal(loops[0].name, "leads back to where it comes from; only one product of a LIF node can")
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
    each = {name: _each(graph, node, name, width) for name in ("tau", "r", "v_leak")}
    if np.any(each["tau"] <= 0):
        raise graph.refusal(node.name, f"has a time constant of {each['tau'].min():g} s; it must be above 0")
    threshold = _each(graph, node, "v_threshold", width) if node.kind == "LIF" else None
    if threshold is not None and "v_reset" in node.fields and np.any(_each(graph, node, "v_reset", width) != 0):
        raise graph.refusal(node.name, "resets to other values than 0 (v_reset); shift its potential and threshold")
    recurrent = None
    if back is not None:
        recurrent, more = _product(graph, back, width)
        if len(more) != width:
            raise graph.refusal(back.name, f"gives {len(more)} values to {width} neurons; write it anew")
        bias = bias + more
    return Layer(node.name, weight, bias, recurrent, **each, threshold=threshold)


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
