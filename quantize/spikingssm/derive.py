"""Derivation: the nodes of a program from float32 parameters, in float64, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...program.nodes import Add, ChannelSSM, Node
from ..codes import Floats, Fracs, weight_codes
from ..config import Widths
from ..decays import decay_table
from ..exponents import row_fracs, useful_frac
from .fold import FoldedBlock
from .formats import BlockFormats, BlockFracs, node_name
from .norm import norm_fracs, norm_node
from .output import SpikingChannels

Folded = FoldedBlock[NDArray[Any]]


def block_fracs(folded: Folded, formats: BlockFormats, widths: Widths, method: str) -> BlockFracs:
    """Exponents of a block's weights."""
    norm = None
    if folded.norm is not None:
        norm = norm_fracs(folded.norm, *formats.normed, widths.norm)
    columns = read_columns(folded, formats.state_frac)
    outputs = row_fracs(columns, widths.output, method, useful_frac(formats.state, formats.out.current))
    through = row_fracs(
        folded.feedthrough[:, None], widths.feedthrough, method, useful_frac(formats.u, formats.out.current)
    )
    # A finer D would shift C's sums out of 32 bits; a row of zeros has no exponent of its own and must not coarsen D.
    outputs = np.where(columns.any(axis=1), outputs, through + formats.u.frac)
    return BlockFracs(
        norm=norm,
        output=outputs,
        feedthrough=np.minimum(through, outputs - formats.u.frac),
        gate=row_fracs(folded.mix, widths.gate, method, formats.out.finest(len(folded.mix))),
    )


def read_columns(folded: Folded, state_frac: Fracs) -> Floats:
    """C, (H, 2M), for codes in place of values: its columns absorb the modes' exponents (M, H)."""
    return np.ldexp(folded.output, -np.tile(state_frac.T, 2))


def decays(folded: Folded, formats: BlockFormats, widths: Widths) -> tuple[NDArray[np.int16], ...]:
    """Codes of a step's decay, real and imaginary parts and their exponents, (M, H) each."""
    shape = folded.rate.shape
    table = decay_table(folded.rate.astype(np.complex128).ravel(), 1, widths.decay, formats.state_width)
    return tuple(part[0].reshape(shape) for part in table)


def block_nodes(
    number: int,
    source: str,
    folded: Folded,
    formats: BlockFormats,
    fracs: BlockFracs,
    widths: Widths,
    output: SpikingChannels,
) -> Iterator[Node]:
    """The nodes of one block, which reads the edge ``source``; the last one's edge is the residual stream it leaves.

    Raises:
        ProgramError: an intermediate that does not fit; names the node.
    """

    def name(what: str) -> str:
        return node_name(number, what)

    u, size = source, len(folded.feedthrough)
    if formats.total is None and folded.norm is not None:
        u = name("norm")
        yield _norm(u, source, folded, formats, fracs, widths)
    yield _state_space(name("ssm"), u, folded, formats, fracs, widths)
    weights = folded.mix, folded.mix_bias
    yield from output.nodes(name, name("ssm"), weights, fracs.gate, formats.out, widths)
    out = "out" if formats.total is None else "total"
    yield Add(
        name=name(out),
        inputs=(source, name("gated")),
        output=formats.output if formats.total is None else formats.total,
        formats=(formats.input, formats.out.gated),
        size=size,
    )
    if formats.total is not None:
        yield _norm(name("out"), name("total"), folded, formats, fracs, widths)


def _norm(name: str, source: str, folded: Folded, formats: BlockFormats, fracs: BlockFracs, widths: Widths) -> Node:
    assert fracs.norm is not None
    assert folded.norm is not None
    return norm_node(name, source, folded.norm, fracs.norm, *formats.normed, widths)


def _state_space(
    name: str, source: str, folded: Folded, formats: BlockFormats, fracs: BlockFracs, widths: Widths
) -> ChannelSSM:
    re, im, exponent = decays(folded, formats, widths)
    codes = weight_codes(read_columns(folded, formats.state_frac), fracs.output, widths.output)
    modes = len(re)
    return ChannelSSM(
        name=name,
        inputs=(source,),
        output=formats.out.current,
        format=formats.u,
        state_width=formats.state_width,
        state_frac=formats.state_frac.astype(np.int16),
        decay_re=re,
        decay_im=im,
        decay_width=widths.decay,
        decay_exponent=exponent,
        output_re=np.ascontiguousarray(codes[:, :modes].T),
        output_im=np.ascontiguousarray(codes[:, modes:].T),
        output_width=widths.output,
        output_frac=fracs.output.astype(np.int16),
        feedthrough=weight_codes(folded.feedthrough, fracs.feedthrough, widths.feedthrough),
        feedthrough_width=widths.feedthrough,
        feedthrough_frac=fracs.feedthrough.astype(np.int16),
        bias=np.zeros(codes.shape[0], dtype=np.int64),
    )
