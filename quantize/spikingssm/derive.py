"""Derivation: the nodes of a program from float32 parameters, in float64, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...program.formats import Format
from ...program.nodes import SPIKES, Add, BatchNorm, ChannelSSM, DrivenLIF, Multiply, Node
from ..codes import Floats, Fracs, accumulator_codes, largest_frac, rounded, weight_codes
from ..config import Widths
from ..decays import decay_table
from ..exponents import row_fracs, useful_frac
from ..nodes import Operand, linear_node, lookup_node
from ..tables import SIGMOID
from .fold import FoldedBlock
from .formats import BlockFormats, BlockFracs, node_name

Folded = FoldedBlock[NDArray[Any]]


def block_fracs(folded: Folded, formats: BlockFormats, widths: Widths, method: str) -> BlockFracs:
    """Exponents of a block's weights."""
    norm = None
    if folded.multiplier is not None:
        norm = row_fracs(folded.multiplier[:, None], widths.norm, "max", useful_frac(*formats.normed))
    columns = read_columns(folded, formats.state_frac)
    outputs = row_fracs(columns, widths.output, method, useful_frac(formats.state, formats.current))
    through = row_fracs(
        folded.feedthrough[:, None], widths.feedthrough, method, useful_frac(formats.u, formats.current)
    )
    # A finer D would shift C's sums out of 32 bits; a row of zeros has no exponent of its own and must not coarsen D.
    outputs = np.where(columns.any(axis=1), outputs, through + formats.u.frac)
    mixed = np.repeat([formats.y.frac, formats.gate.frac], len(folded.feedthrough))
    return BlockFracs(
        norm=norm,
        output=outputs,
        feedthrough=np.minimum(through, outputs - formats.u.frac),
        gate=row_fracs(folded.mix, widths.gate, method, useful_frac(SPIKES, mixed)),
    )


def read_columns(folded: Folded, state_frac: Fracs) -> Floats:
    """C, (H, 2M), for codes in place of values: its columns absorb the modes' exponents (M, H)."""
    return np.ldexp(folded.output, -np.tile(state_frac.T, 2))


def decays(folded: Folded, formats: BlockFormats, widths: Widths) -> tuple[NDArray[np.int16], ...]:
    """Codes of a step's decay, real and imaginary parts and their exponents, (M, H) each."""
    shape = folded.rate.shape
    table = decay_table(folded.rate.astype(np.complex128).ravel(), 1, widths.decay, formats.state_width)
    return tuple(part[0].reshape(shape) for part in table)


def leak(tau: float, width: int) -> tuple[int, int]:
    """The code of what a potential keeps, and its fractional bits: as few as hold it."""
    highest = (1 << (width - 1)) - 1
    frac = int(largest_frac(tau, highest, 0))
    code = int(rounded(np.asarray(np.ldexp(tau, frac))))
    while code and code % 2 == 0:
        code, frac = code // 2, frac - 1
    return code, max(frac, 0)


def block_nodes(
    number: int, source: str, folded: Folded, formats: BlockFormats, fracs: BlockFracs, widths: Widths, tau: float
) -> Iterator[Node]:
    """The nodes of one block, which reads the edge ``source``; the last one's edge is the residual stream it leaves.

    Raises:
        ProgramError: an intermediate that does not fit; names the node.
    """

    def name(what: str) -> str:
        return node_name(number, what)

    u, size = source, len(folded.feedthrough)
    if formats.total is None and folded.multiplier is not None:
        u = name("norm")
        yield _norm(u, source, folded, formats, fracs, widths)
    yield _state_space(name("ssm"), u, folded, formats, fracs, widths)
    yield _neurons(name("neurons"), name("ssm"), formats, widths, tau, size)
    halves = zip(
        ("y", "gate"), (formats.y, formats.gate), *(np.split(part, 2) for part in (folded.mix, fracs.gate)),
        np.split(folded.mix_bias, 2), strict=True,
    )  # fmt: skip
    for what, format, weight, frac, bias in halves:
        yield linear_node(name(what), [Operand(name("neurons"), SPIKES, weight, widths.gate, frac)], bias, format)
    yield lookup_node(name("sigmoid"), name("gate"), "sigmoid", formats.gate, SIGMOID, size)
    yield Multiply(
        name=name("gated"),
        inputs=(name("y"), name("sigmoid")),
        output=formats.gated,
        formats=(formats.y, SIGMOID),
        size=size,
    )
    out = "out" if formats.total is None else "total"
    yield Add(
        name=name(out),
        inputs=(source, name("gated")),
        output=formats.output if formats.total is None else formats.total,
        formats=(formats.input, formats.gated),
        size=size,
    )
    if formats.total is not None:
        yield _norm(name("out"), name("total"), folded, formats, fracs, widths)


def _norm(
    name: str, source: str, folded: Folded, formats: BlockFormats, fracs: BlockFracs, widths: Widths
) -> BatchNorm:
    read, written = formats.normed
    assert fracs.norm is not None
    assert folded.multiplier is not None
    assert folded.offset is not None
    accumulator = fracs.norm + read.frac
    return BatchNorm(
        name=name,
        inputs=(source,),
        output=written,
        format=read,
        multiplier=weight_codes(folded.multiplier, fracs.norm, widths.norm),
        multiplier_width=widths.norm,
        bias=accumulator_codes(folded.offset, accumulator),
        shift=(accumulator - written.frac).astype(np.int16),
    )


def _state_space(
    name: str, source: str, folded: Folded, formats: BlockFormats, fracs: BlockFracs, widths: Widths
) -> ChannelSSM:
    re, im, exponent = decays(folded, formats, widths)
    codes = weight_codes(read_columns(folded, formats.state_frac), fracs.output, widths.output)
    modes = len(re)
    return ChannelSSM(
        name=name,
        inputs=(source,),
        output=formats.current,
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


def _neurons(name: str, source: str, formats: BlockFormats, widths: Widths, tau: float, size: int) -> DrivenLIF:
    """The threshold is 1, folded into C and D; to reach it is to fire, so the code is one lower."""
    code, frac = leak(tau, widths.constant)
    return DrivenLIF(
        name=name,
        inputs=(source,),
        output=SPIKES,
        format=formats.current,
        potential=formats.potential,
        threshold=np.full(size, threshold(formats.potential), dtype=np.int64),
        constant_width=widths.constant,
        alpha=np.full(size, code, dtype=np.int64),
        alpha_frac=frac,
    )


def threshold(potential: Format) -> int:
    """The code above which a neuron fires whose threshold is 1."""
    return (1 << potential.frac) - 1
