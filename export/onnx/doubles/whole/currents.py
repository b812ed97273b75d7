"""The currents of all layers of a chain at once, from their spikes of the step before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .....program.bounds import dot_bound
from ...arithmetic import FLOAT32_LIMIT
from ...graph import Graph
from ..arithmetic import DOUBLE, SINGLE
from .chain import Block, Chain


@dataclass
class Piece:
    """Columns ``start`` to ``end`` of a sum, to which these blocks of one source add; none: what is given."""

    start: int
    end: int
    blocks: tuple[Block, ...] = ()


def write_currents(graph: Graph, chain: Chain, drive: str, z: str, dense: bool) -> str:
    """The sum of products and constants, (B, N) float64.

    Args:
        graph: where operations go.
        chain: the layers.
        drive: what is given: (B, N) with all constants, or where products are not ``dense`` that of the first layer.
        z: spikes of all layers, or who is quiet, as `Chain.quiet` says.
        dense: whether one matrix holds all weights.
    """
    sign = -1 if chain.quiet else 1
    if dense:
        return _dense(graph, chain, drive, z, sign)
    parts = [graph.fresh("z") for _ in chain.sizes]
    lengths = graph.constant(chain.sizes, np.int64)
    graph.ops("Split", graph.cast(z, np.uint8), lengths, outputs=parts, dtypes=[np.uint8] * len(parts), axis=1)
    total = ""
    for number, track in enumerate(tracks_of(chain)):
        found = []
        for piece in track:
            part = _product(graph, chain, parts[piece.blocks[0].source], piece, sign) if piece.blocks else drive
            if piece.blocks and not number:
                fixed = graph.constant(chain.fixed[piece.start : piece.end], DOUBLE)
                part = graph.op("Add", part, fixed)
            found.append(part)
        whole = graph.op("Concat", *found, axis=1) if len(found) > 1 else found[0]
        total = graph.op("Add", total, whole) if total else whole
    return total


def _dense(graph: Graph, chain: Chain, drive: str, z: str, sign: int) -> str:
    """One product with all weights, in float32 where that holds its sums in units of the current."""
    size, fits = chain.ends[-1], fits_single(chain)
    matrix = np.zeros((size, size))
    for block in chain.blocks():
        factor = np.ldexp(1.0, block.exponent) if fits else chain.factor(block)
        matrix[chain.span(block.to), chain.span(block.source)] = sign * block.weight * factor[:, None]
    if not fits:
        return graph.op("Gemm", graph.cast(z, DOUBLE), graph.constant(matrix.T, DOUBLE), drive)
    found = graph.op("MatMul", graph.cast(z, SINGLE), graph.constant(matrix.T, SINGLE))
    found = graph.cast(found, DOUBLE)
    if chain.exact:
        found = graph.op("Mul", found, graph.constant(chain.risen, DOUBLE))
    return graph.op("Add", found, drive)


def fits_single(chain: Chain) -> bool:
    """Whether the sums of all products, in the finest unit of each row, stay within the 24 bits of float32."""
    finest, bounds = np.full(chain.ends[-1], 1 << 10), np.zeros(chain.ends[-1], object)
    for block in chain.blocks():
        finest[chain.span(block.to)] = np.minimum(finest[chain.span(block.to)], block.exponent)
    for block in chain.blocks():
        shift = block.exponent - finest[chain.span(block.to)]
        bounds[chain.span(block.to)] += dot_bound(block.weight, 1) * 2 ** shift.astype(object)
    return bool(max(bounds) < FLOAT32_LIMIT)


def tracks_of(chain: Chain) -> list[list[Piece]]:
    """Rows of N numbers, made of pieces side by side, that add up to all currents; what is given begins the first."""
    groups: dict[tuple[int, bool], list[Block]] = {}
    for block in chain.blocks():
        groups.setdefault((block.source, _in_bytes(block.weight)), []).append(block)
    tracks = [[Piece(0, chain.ends[1])]]
    for own in groups.values():
        piece = Piece(chain.ends[own[0].to], chain.ends[own[-1].to + 1], tuple(own))
        track = next((track for track in tracks if track[-1].end <= piece.start), None)
        if track is None:
            track = []
            tracks.append(track)
        piece.start = track[-1].end if track else 0
        track.append(piece)
    for track in tracks:
        track[-1].end = chain.ends[-1]
    return tracks


def _in_bytes(weight: np.ndarray) -> bool:
    return bool(np.abs(weight.astype(np.int64)).max(initial=0) <= 127)


def _product(graph: Graph, chain: Chain, z: str, piece: Piece, sign: int) -> str:
    """What the spikes of a layer add to the columns of a piece, with weights of 0 where they add nothing."""
    size = piece.end - piece.start
    weight = np.zeros((size, chain.sizes[piece.blocks[0].source]), np.int64)
    factor = np.ones(size)
    for block in piece.blocks:
        rows = slice(chain.ends[block.to] - piece.start, chain.ends[block.to + 1] - piece.start)
        weight[rows], factor[rows] = sign * block.weight.astype(np.int64), chain.factor(block)
    if _in_bytes(weight):
        codes = graph.constant(weight.T, np.int8), graph.constant(0, np.uint8)
        found = graph.op("MatMulInteger", z, *codes, dtype=np.int32)
    else:
        held = SINGLE if max(dot_bound(weight, 1)) < FLOAT32_LIMIT else DOUBLE
        found = graph.op("MatMul", graph.cast(z, held), graph.constant(weight.T, held))
    return graph.op("Mul", graph.cast(found, DOUBLE), graph.constant(factor, DOUBLE))
