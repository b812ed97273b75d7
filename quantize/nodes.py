"""Nodes that several families lower to, from weights, formats and exponents, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..program.formats import Format
from ..program.nodes import DenseInput, Linear, Lookup, Readout, TokenInput
from .codes import Floats, Fracs, accumulator_codes, weight_codes
from .tables import FUNCTIONS, lookup_table

TOKENS, DENSE = "token", "dense"
"""Names of the inputs."""


def token_input(vocab: int) -> TokenInput:
    """Tokens in ``[0, vocab)``."""
    return TokenInput(name=TOKENS, inputs=(), output=token_format(vocab), vocab=vocab)


def dense_input(format: Format, size: int) -> DenseInput:
    """Vectors of ``size`` values."""
    return DenseInput(name=DENSE, inputs=(), output=format, size=size)


def token_format(vocab: int) -> Format:
    """The format of tokens in ``[0, vocab)``."""
    return Format(max(1, (vocab - 1).bit_length()), False, 0)


class Operand(NamedTuple):
    """What a Linear node multiplies.

    edge, format: of the input.
    weight: (out, in), or (out,) for a product by channel.
    width, fracs: bits of its codes, and their exponents (out,).
    """

    edge: str
    format: Format
    weight: Floats
    width: int
    fracs: Fracs


def linear_node(name: str, operands: Sequence[Operand], bias: Floats, output: Format) -> Linear:
    """A Linear node; its bias (out,)."""
    accumulator = np.max([operand.fracs + operand.format.frac for operand in operands], axis=0)
    return Linear(
        name=name,
        inputs=tuple(operand.edge for operand in operands),
        output=output,
        formats=tuple(operand.format for operand in operands),
        weights=tuple(weight_codes(operand.weight, operand.fracs, operand.width) for operand in operands),
        weight_widths=tuple(operand.width for operand in operands),
        weight_fracs=tuple(operand.fracs.astype(np.int16) for operand in operands),
        bias=accumulator_codes(bias, accumulator),
    )


def decoder_node(edge: str, format: Format, weight: Floats, bias: Floats, width: int, frac: int) -> Linear:
    """The decoder: its logits are the unrounded sums, all at one exponent, 32 bits where they fit and else 64."""
    fracs = np.full(len(weight), frac, dtype=np.int64)
    bound = np.abs(weight_codes(weight, fracs, width).astype(np.int64)).sum(axis=1) * format.magnitude
    bound = bound + np.abs(accumulator_codes(bias, fracs + format.frac))
    logits = Format(32 if int(bound.max()) < 1 << 31 else 64, True, frac + format.frac)
    return linear_node("decoder", [Operand(edge, format, weight, width, fracs)], bias, logits)


def lookup_node(name: str, source: str, function: str, input: Format, output: Format, size: int) -> Lookup:
    """A table of ``function``, a name in `tables.FUNCTIONS`, over the codes of ``input``."""
    return Lookup(
        name=name,
        inputs=(source,),
        output=output,
        format=input,
        size=size,
        table=lookup_table(FUNCTIONS[function], input, output),
        function=function,
    )


def readout_node(name: str, inputs: tuple[str, ...], format: Format, output: Format, size: int, mode: str) -> Readout:
    """A read-out over all that was seen."""
    return Readout(
        name=name,
        inputs=inputs,
        output=output,
        format=format,
        size=size,
        mode=mode,
        extra_bits=output.frac - format.frac,
        window=0,
        decay_shift=0,
    )
