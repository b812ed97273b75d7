"""A program as an ONNX model of float operators between QuantizeLinear and DequantizeLinear: an approximation.

For runtimes and accelerators that take quantized networks in this form alone. Widths, scales and weights are the
program's, but products, sums and roots are floating point and values are rounded half to even, so that codes may
differ from the program's by a unit and more.
"""

from __future__ import annotations

from ....program import nodes
from ..dialect import Dialect
from ..integer.stateless import write_gap_input, write_value_input
from .neurons import write_adaptive_lif, write_leaky_integrator, write_lif
from .ssm import write_diagonal_ssm
from .stateless import (
    write_add,
    write_batch_norm,
    write_dense_input,
    write_embedding,
    write_layer_norm,
    write_linear,
    write_lookup,
    write_multiply,
)
from .windows import read_event_pool, read_readout, update_event_pool, update_readout

QDQ = Dialect(
    "an approximation of a program for runtimes that take QuantizeLinear and DequantizeLinear; not bit-exact",
    "approximate",
    {
        nodes.TokenInput: write_value_input,
        nodes.GapInput: write_gap_input,
        nodes.DenseInput: write_dense_input,
        nodes.Embedding: write_embedding,
        nodes.Linear: write_linear,
        nodes.Lookup: write_lookup,
        nodes.Multiply: write_multiply,
        nodes.Add: write_add,
        nodes.BatchNorm: write_batch_norm,
        nodes.LayerNorm: write_layer_norm,
        nodes.DiagonalSSM: write_diagonal_ssm,
        nodes.LIF: write_lif,
        nodes.AdaptiveLIF: write_adaptive_lif,
        nodes.LeakyIntegrator: write_leaky_integrator,
        nodes.EventPool: read_event_pool,
        nodes.Readout: read_readout,
    },
    {nodes.EventPool: update_event_pool, nodes.Readout: update_readout},
)
"""Edges are float32 real values on the grids of the program's formats; gaps stay integers; states are float32."""

__all__ = ["QDQ"]
