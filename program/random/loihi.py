"""Random programs of Loihi's own neurons: for tests of backends, as random_programs.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ProgramError
from ..formats import Format
from ..graph import Program
from ..nodes import SPIKES, LoihiLIF, Node, Readout
from ..nodes.loihi import BIAS_LIMIT, THRESHOLD_LIMIT, WEIGHT_LIMIT
from .programs import source

CHOICES: dict[str, tuple[Any, ...]] = {
    "layers": (1, 2, 3),
    "hidden": (1, 3, 9),
    "recurrent": (True, True, False),
    "weight_bits": (1, 4, 8, 8),
    "weight_exponent": (0, 0, 2, -3),
    "extreme": (False, False, True),
    "own": (False, True),
    "value": ("dense", "dense", "token"),
    "input": ("spikes", "counts", "ternary"),
    "inputs": (1, 3, 6),
    "classes": (3,),
}
"""What may be fixed, and what is drawn from where it is not. ``extreme`` weights and biases wrap u and clip v; with
``own`` each neuron has its own decays and threshold.
"""

INPUTS = {"spikes": SPIKES, "counts": Format(8, False, 0), "ternary": Format(2, True, 0)}


def random_loihi(seed: int, **fixed: Any) -> Program:
    """A whole program drawn from ``seed``; any of ``CHOICES`` may be fixed by keyword."""
    unknown = set(fixed) - set(CHOICES)
    if unknown:
        raise ProgramError(f"{', '.join(sorted(unknown))}: unknown; use {', '.join(CHOICES)}")
    rng = np.random.default_rng(seed)

    def pick(what: str) -> Any:
        return fixed[what] if what in fixed else CHOICES[what][rng.integers(len(CHOICES[what]))]

    apart = np.random.default_rng([seed, 1])  # leaves the draws of all else alone
    own = apart if fixed.get("own", CHOICES["own"][apart.integers(2)]) else None
    nodes: list[Node] = source(rng, pick, INPUTS)
    for layer in range(pick("layers")):
        nodes.append(_neurons(rng, pick, f"cells/{layer}", nodes[-1], pick("hidden"), pick("recurrent"), own))
    nodes.append(_neurons(rng, pick, "output", nodes[-1], pick("classes"), False, own))
    nodes.append(
        Readout(
            name="logits",
            inputs=("output",),
            output=Format(13, False, 12),
            format=SPIKES,
            size=nodes[-1].channels,
            mode="mean",
            extra_bits=12,
            window=0,
            decay_shift=0,
        )
    )
    names = tuple(f"class {c}" for c in range(nodes[-1].channels))
    return Program(nodes=tuple(nodes), logits="logits", pairing="causal", class_names=names)


def _neurons(
    rng: np.random.Generator,
    pick: Any,
    name: str,
    source: Node,
    hidden: int,
    recurrent: bool,
    own: np.random.Generator | None,
) -> LoihiLIF:
    bits, extreme = int(pick("weight_bits")), pick("extreme")
    drawn = 0 if extreme and source.output.width > 2 else int(rng.integers(0, 3))  # others do not bound the current
    node = LoihiLIF(
        name=name,
        inputs=(source.name,),
        output=SPIKES,
        format=source.output,
        weight=_weights(rng, bits, (hidden, source.channels), extreme),
        recurrent=_weights(rng, bits, (hidden, hidden if recurrent else 0), extreme),
        weight_bits=bits,
        weight_exponent=int(pick("weight_exponent")),
        bias=rng.integers(-BIAS_LIMIT - 1, BIAS_LIMIT + 1, hidden) if extreme else rng.integers(-40, 41, hidden),
        du=int((4095, rng.integers(200, 4096), 0 if extreme else 1000)[drawn]),
        dv=int((0, rng.integers(0, 4096), 300)[drawn]),
        vth=int(rng.integers(0, THRESHOLD_LIMIT + 1) if extreme else rng.integers(0, 600)),
    )
    if own is None:
        return node
    slowest = node.du if extreme else min(node.du, 1000)
    return replace(
        node,
        du=own.integers(slowest, 4096, hidden).astype(np.int16),
        dv=own.integers(0, 4096, hidden),
        vth=own.integers(0, min(2 * node.vth, THRESHOLD_LIMIT) + 1, hidden).astype(np.int32),
    )


def _weights(rng: np.random.Generator, bits: int, shape: tuple[int, int], extreme: bool) -> np.ndarray:
    unit = 1 << (9 - bits)
    low, high = -(WEIGHT_LIMIT + 2) // unit, WEIGHT_LIMIT // unit
    codes = rng.choice([low, high], shape) if extreme else rng.integers(low, high + 1, shape)
    return (codes * unit).astype(np.int16)
