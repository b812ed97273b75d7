"""Inputs of the program: the event's token or values, and its gaps."""

from __future__ import annotations

import numpy as np

from ....quantize.program.nodes import DenseInput, GapInput, TokenInput
from ..event import EventGraph


def input_name(node: TokenInput | DenseInput | GapInput) -> str:
    """The name of the model's input: ``token``, ``value``, or the gap node's own name."""
    return {TokenInput: "token", DenseInput: "value"}.get(type(node), node.name)


def write_input(event: EventGraph, node: TokenInput | DenseInput | GapInput) -> str:
    """Tokens and gaps (B,) become one channel (B, 1); dense codes are (B, channels) int32 already."""
    graph = event.graph
    if isinstance(node, DenseInput):
        return graph.input(input_name(node), np.int32, ["batch", node.size])
    tensor = graph.input(input_name(node), np.int64, ["batch"])
    return graph.op("Unsqueeze", tensor, graph.constant([1], np.int64), dtype=np.int64)
