"""Lowering of networks for Loihi: the program, with a report of what the integers cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..checks import make_program
from ..program import Program
from ..program.bounds import register
from ..program.nodes import LoihiLIF
from .frozen import FrozenLoihi
from .model import QuantLoihi
from .network import LOGITS


def lower(frozen: FrozenLoihi, *, class_names: Sequence[str], provenance: Mapping[str, Any] | None = None) -> Program:
    """The program of a frozen twin; nothing is computed anew.

    Args:
        frozen: the frozen twin.
        class_names: one a logit.
        provenance: plain JSON data to keep in the program.

    Raises:
        PumiceError: what no program can hold.
    """
    return make_program(frozen.nodes(), LOGITS, "causal", class_names, provenance)


def lowering_report(twin: QuantLoihi, program: Program) -> list[dict[str, Any]]:
    """One entry a layer, plain JSON data: decays, threshold, registers, clipped weights."""
    entries = []
    for name, layer, source in zip(twin.names(), twin.layers, twin.sources(), strict=True):
        node = program[name]
        assert isinstance(node, LoihiLIF)
        entries.append(
            {
                "layer": layer.path,
                "formats": {"input": str(node.format), "weights": f"{node.weight_bits} bits"},
                "du": node.du,
                "dv": node.dv,
                "vth": node.vth,
                "registers": {what: register(bound) for what, bound in node.bounds().items()},
                "clipped_weights": layer.clipped_weights(source),
            }
        )
    return entries
