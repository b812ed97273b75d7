"""Layers of neurons and their read-out over whole samples: one Scan, in which all layers take a step at once.

Layer l is l steps behind the first, so that what it reads is what the layer before it did in the step before: the
spikes of all layers are one vector, and what a step takes hardly grows with the layers. The first steps, in which not
all layers have begun, are written before the Scan; what has not begun stays there as it was.
"""

from __future__ import annotations

import numpy as np

from .....program.nodes.resets import SUBTRACTING, is_late
from ...graph import Graph
from ..arithmetic import DOUBLE, SINGLE, SMALL, matmul
from .chain import Chain
from .currents import fits_single, tracks_of, write_currents
from .event import WholeEvents

DENSE = 128
"""Neurons of all layers up to which one float64 matrix is faster than a product a layer."""


def write_chain(event: WholeEvents, chain: Chain, value: str) -> str:
    """The potentials of the read-out after every step, as rows."""
    graph, size = event.graph, chain.ends[-1]
    dense = size <= DENSE
    scope, graph.scope = graph.scope, "clock"
    rows, none = graph.op("Mul", event.batch, event.number(chain.delay)), event.number(0)
    pads = graph.op("Concat", none, none, rows, none, axis=0)
    graph.scope = scope
    value = graph.op("Pad", value, pads, dtype=DOUBLE)  # for the last steps of all layers but the first
    early, late = (
        _drive(event, chain, graph.op("Slice", value, *ends, none, dtype=DOUBLE), dense)
        for ends in ((none, rows), (rows, event.number(np.iinfo(np.int64).max)))
    )
    zeros = event.zeros(size)
    states = {
        "u": zeros,
        "z": graph.cast(graph.op("Add", zeros, graph.constant(chain.quiet, DOUBLE)), _held(chain, dense)),
    }
    if chain.adapts:
        states["w"] = zeros
    start = dict(states)
    for step in range(chain.delay):
        drive = graph.op("Gather", early, graph.constant(step, np.int64), dtype=DOUBLE, axis=0)
        states = _step(graph, chain, drive, states, dense)
        begun = graph.constant(np.arange(size) < chain.ends[step + 1], np.bool_)
        states = {name: graph.op("Where", begun, new, start[name]) for name, new in states.items()}

    body = graph.child("step")
    given = {name: body.input(name, graph.dtypes[start[name]], ["batch", size]) for name in states}
    new = _step(body, chain, body.input("drive", DOUBLE, ["batch", _width(chain, dense)]), given, dense)
    for name in states:
        body.output(new[name], f"{name}_out", ["batch", size])
    places = (body.constant([place], np.int64) for place in (chain.ends[-2], size, 1))
    seen = body.op("Slice", new["u"], *places, dtype=DOUBLE)
    body.output(seen, "potentials", ["batch", chain.readout.channels])
    outputs = [graph.fresh(name) for name in (*states, "potentials")]
    graph.ops(
        "Scan",
        *states.values(),
        late,
        outputs=outputs,
        dtypes=[*(graph.dtypes[start[name]] for name in states), DOUBLE],
        body=body.build(),
        num_scan_inputs=1,
    )
    event.series = outputs[-1]
    shape = graph.constant([-1, chain.readout.channels], np.int64)
    return graph.op("Reshape", event.series, shape, dtype=DOUBLE)


def _held(chain: Chain, dense: bool) -> np.dtype:
    """The element type of spikes from step to step: that of the products, where nothing else reads them."""
    if chain.layers[0].kind == "ef" or not (chain.quiet or is_late(chain.layers[0].reset)):
        return DOUBLE
    return (SINGLE if fits_single(chain) else DOUBLE) if dense else np.dtype(np.uint8)


def _width(chain: Chain, dense: bool) -> int:
    """Columns that are given to a step: all, or what begins the first track."""
    return chain.ends[-1] if dense else tracks_of(chain)[0][0].end


def _drive(event: WholeEvents, chain: Chain, value: str, dense: bool) -> str:
    """What steps add to their products, (T, B, N), or where they are not `dense` the first of them."""
    graph, first = event.graph, chain.layers[0]
    scale = np.ldexp(chain.risen[: first.neurons] if chain.exact else 1.0, chain.fed(first))
    width = _width(chain, dense)
    fixed = graph.constant(chain.fixed[:width], DOUBLE)
    rest = width - first.neurons
    if dense and first.input.size <= SMALL:
        weight = np.pad(first.input.astype(np.float64) * scale[:, None], ((0, rest), (0, 0)))
        return event.apart(graph.op("Gemm", value, graph.constant(weight.T, DOUBLE), fixed), width)
    found = matmul(graph, value, first.format, first.input, np.zeros(1, np.int64))
    found = graph.op("Mul", found, graph.constant(scale, DOUBLE))
    if rest:
        found = graph.op("Pad", found, graph.constant([0, 0, 0, rest], np.int64), dtype=DOUBLE)
    return event.apart(graph.op("Add", found, fixed), width)


def _step(graph: Graph, chain: Chain, drive: str, states: dict[str, str], dense: bool) -> dict[str, str]:
    """One step of all layers, (B, N) each."""
    u, reset, form = states["u"], chain.layers[0].reset, chain.layers[0].potential
    total = write_currents(graph, chain, drive, states["z"], dense)
    if not chain.exact:
        total = _times(graph, graph.op("Floor", total), chain.risen)
        total = graph.op("Add", total, _row(graph, chain.halves))
    total = graph.op("Add", total, _times(graph, u, chain.kept))
    if chain.adapts:
        total = graph.op("Add", total, _times(graph, states["w"], chain.lost))
    threshold = _row(graph, chain.thresholds)
    spiked = graph.cast(graph.op("Greater", u, threshold), DOUBLE) if is_late(reset) else ""
    if spiked and reset in SUBTRACTING:
        total = graph.op("Sub", total, graph.op("Mul", spiked, threshold))
    limits = graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE)
    reached = graph.op("Clip", graph.op("Floor", total), *limits)
    if spiked and reset not in SUBTRACTING:
        reached = graph.op("Sub", reached, graph.op("Mul", reached, spiked))
    if chain.quiet:  # nothing lies between a threshold and the code above it
        fired = graph.op("Less", reached, _row(graph, chain.thresholds + 1))
        rest = graph.op("Mul", reached, graph.cast(fired, DOUBLE))
    else:
        fired = graph.op("Greater", reached, threshold)
        rest = reached
        if not spiked:
            rest = graph.op("Sub", reached, graph.op("Mul", graph.cast(fired, DOUBLE), threshold))
    new = {"u": rest, "z": graph.cast(fired, _held(chain, dense))}
    if chain.adapts:
        seen = (rest, graph.cast(fired, DOUBLE)) if chain.layers[0].kind == "se" else (u, states["z"])
        new["w"] = _adapt(graph, chain, states["w"], *seen)
    return new


def _adapt(graph: Graph, chain: Chain, w: str, u: str, z: str) -> str:
    kept, coupled, jump, fixed = (chain.adaptation(part) for part in range(4))
    if chain.quiet:
        jump, fixed = -jump, fixed + jump
    total = graph.op("Add", _times(graph, w, kept), _times(graph, u, coupled))
    total = graph.op("Add", total, _times(graph, z, jump))
    if fixed.any():
        total = graph.op("Add", total, _row(graph, fixed))
    form = chain.layers[0].adaptation
    limits = graph.constant(form.min, DOUBLE), graph.constant(form.max, DOUBLE)
    return graph.op("Clip", graph.op("Floor", total), *limits)


def _times(graph: Graph, tensor: str, factors: np.ndarray) -> str:
    return graph.op("Mul", tensor, _row(graph, factors))


def _row(graph: Graph, values: np.ndarray) -> str:
    return graph.constant(values[0] if (values == values[0]).all() else values, DOUBLE)
