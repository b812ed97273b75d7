"""Nodes that several families lower to, from weights, formats and exponents, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..program.formats import Format
from ..program.nodes import (
    BatchNorm,
    DenseInput,
    Embedding,
    LayerNorm,
    Linear,
    Lookup,
    Multiply,
    Node,
    Readout,
    TokenInput,
)
from .codes import Floats, Fracs, accumulator_codes, weight_codes
from .operations import LayerNormTerms
from .tables import FUNCTIONS, SIGMOID, lookup_table

TOKENS, DENSE = "token", "dense"
"""Names of the inputs."""
LOGITS = "logits"
"""Name of the read-out that holds the newest of a series."""


def token_input(vocab: int) -> TokenInput:
    """Tokens in ``[0, vocab)``."""
    return TokenInput(name=TOKENS, inputs=(), output=token_format(vocab), vocab=vocab)


def embedding_node(weight: Floats, width: int, frac: int, output: Format) -> Embedding:
    """The embedding of tokens."""
    token = token_format(len(weight))
    return Embedding(
        name="embedding",
        inputs=(TOKENS,),
        output=output,
        table=weight_codes(weight, np.full(len(weight), frac, dtype=np.int64), width),
        table_width=width,
        table_frac=frac,
        token_format=token,
    )


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


def batch_norm_node(
    name: str,
    source: str,
    multiplier: Floats,
    offset: Floats,
    fracs: Fracs,
    width: int,
    input: Format,
    output: Format,
) -> BatchNorm:
    """A batch norm by its running statistics, folded: (H,) each; ``fracs`` and ``width`` of the multiplier's codes."""
    accumulator = fracs + input.frac
    return BatchNorm(
        name=name,
        inputs=(source,),
        output=output,
        format=input,
        multiplier=weight_codes(multiplier, fracs, width),
        multiplier_width=width,
        bias=accumulator_codes(offset, accumulator),
        shift=(accumulator - output.frac).astype(np.int16),
    )


def layer_norm_node(
    name: str,
    source: str,
    terms: LayerNormTerms,
    input: Format,
    output: Format,
    gamma: tuple[Floats, int, int] | None = None,
    beta: tuple[Floats, int] | None = None,
) -> LayerNorm:
    """A layer norm; where not folded, ``gamma`` (H,) with its fractional bits and width, ``beta`` (H,) with its."""
    none = np.zeros(0, dtype=np.int64)
    gamma_frac, beta_frac = 0 if gamma is None else gamma[1], 0 if beta is None else beta[1]
    return LayerNorm(
        name=name,
        inputs=(source,),
        output=output,
        format=input,
        size=terms.size,
        root_shift=terms.root_shift,
        epsilon=terms.epsilon,
        gamma=none if gamma is None else weight_codes(gamma[0][None], np.array([gamma[1]]), gamma[2])[0],
        gamma_frac=gamma_frac,
        beta=none if beta is None else accumulator_codes(beta[0], np.full(len(beta[0]), beta_frac)),
        beta_frac=beta_frac,
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


def gate_nodes(name: Callable[[str], str], y: Format, gate: Format, size: int) -> Iterator[Node]:
    """The sigmoid of a layer's node ``gate``, and what it lets through of its node ``y``: the exact product."""
    yield lookup_node(name("sigmoid"), name("gate"), "sigmoid", gate, SIGMOID, size)
    yield Multiply(
        name=name("gated"),
        inputs=(name("y"), name("sigmoid")),
        output=product_format(y, SIGMOID),
        formats=(y, SIGMOID),
        size=size,
    )


def product_format(a: Format, b: Format) -> Format:
    """Of the exact product of signed values and others."""
    return Format(a.width + b.width, True, a.frac + b.frac)


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
