"""Random clocked programs, in the shape that networks of spiking neurons lower to: for tests of backends.

As in random_programs.py, the codes mean nothing, and shifts and modes of every kind occur. Weights of more than 8 bits
may be fixed; with wide states, some such networks do not fit 52 bits and are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ProgramError
from ..formats import Format
from ..graph import Program
from ..nodes import LIF, SPIKES, AdaptiveLIF, CubaLIF, LeakyIntegrator, Node, Readout
from ..nodes.resets import AT_ONCE, RESETS, is_late
from .programs import _codes, _signed, source

CHOICES: dict[str, tuple[Any, ...]] = {
    "cell": ("lif", "cuba", "se", "ef"),
    "reset": ("zero", "zero", *RESETS),
    "refractory": (0, 0, 0, 1, 3, 7),
    "leaky": (True, True, False),
    "layers": (1, 2, 3),
    "hidden": (1, 2, 3, 5, 9),
    "recurrent": (True, True, False),
    "state_width": (8, 12, 16, 24, 32),
    "constant_width": (8, 12, 16),
    "weight_width": (2, 4, 8),
    "extreme": (False, True),
    "value": ("dense", "dense", "token"),
    "input": ("counts", "ternary", "real"),
    "inputs": (1, 3, 6),
    "classes": (3,),
}
"""What may be fixed, and what is drawn from where it is not. Widths are drawn for each tensor. ``input`` is the
format of what the first layer reads, dense values or embedded tokens. Neurons that are not
``leaky`` have alpha and rise 1. Beside a late reset
no refractory time is drawn; beside one that is fixed, resets act at once."""

INPUTS = {"counts": Format(8, False, 0), "ternary": Format(2, True, 0), "real": Format(8, True, 5)}


def random_network(seed: int, **fixed: Any) -> Program:
    """A whole clocked program drawn from ``seed``; any of ``CHOICES`` may be fixed by keyword."""
    unknown = set(fixed) - set(CHOICES)
    if unknown:
        raise ProgramError(f"{', '.join(sorted(unknown))}: unknown; use {', '.join(CHOICES)}")
    rng, aside = np.random.default_rng(seed), np.random.default_rng([seed, 1])

    def pick(what: str) -> Any:
        return fixed[what] if what in fixed else CHOICES[what][rng.integers(len(CHOICES[what]))]

    nodes: list[Node] = source(rng, pick, INPUTS)
    cell = pick("cell")
    for layer in range(pick("layers")):
        drawn = int(aside.choice(CHOICES["refractory"]))
        nodes.append(_neurons(rng, pick, f"cells/{layer}", cell, nodes[-1], fixed.get("refractory"), drawn))
    nodes.append(_integrators(rng, pick, nodes[-1]))
    potentials = nodes[-1]
    nodes.append(
        Readout(
            name="logits",
            inputs=(potentials.name,),
            output=potentials.output,
            format=potentials.output,
            size=potentials.channels,
            mode="last",
            extra_bits=0,
            window=0,
            decay_shift=0,
        )
    )
    names = tuple(f"class {c}" for c in range(potentials.channels))
    return Program(nodes=tuple(nodes), logits="logits", pairing="causal", class_names=names)


def _neurons(
    rng: np.random.Generator, pick: Any, name: str, cell: str, source: Node, refractory: int | None, drawn: int
) -> Node:
    hidden, extreme, width = pick("hidden"), pick("extreme"), int(pick("constant_width"))
    input_width, recurrent_width = int(pick("weight_width")), int(pick("weight_width"))
    potential = _signed(int(pick("state_width")))
    potential = _signed(potential.width, _frac(potential.width) + int(rng.integers(-1, 2)))
    recurrent = (hidden, hidden if pick("recurrent") else 0)
    alpha, beta = np.exp(-1 / rng.uniform(1, 25, hidden)), np.exp(-1 / rng.uniform(5, 300, hidden))
    reset, leaky = pick("reset"), pick("leaky") or cell in ("se", "ef")
    if refractory is None:
        refractory = 0 if is_late(reset) else drawn
    elif refractory:
        reset = AT_ONCE.get(reset, reset)
    rise = {"rise": np.ones(hidden, dtype=np.int64), "rise_frac": 0}
    shared = {
        "name": name,
        "inputs": (source.name,),
        "output": SPIKES,
        "format": source.output,
        "input": _codes(rng, input_width, (hidden, source.channels), extreme),
        "input_width": input_width,
        "input_frac": rng.integers(0, 9, hidden) - (1 if source.output.frac == 0 else 3),
        "recurrent": _codes(rng, recurrent_width, recurrent, extreme),
        "recurrent_width": recurrent_width,
        "recurrent_frac": rng.integers(-1, 8, hidden),
        "bias": rng.integers(-200, 201, hidden),
        "potential": potential,
        "threshold": np.maximum(
            rng.integers(-2, 1 << max(potential.frac, 2), hidden), potential.min if reset == "zero" else 0
        ),
        "constant_width": width,
        **_constant("alpha", alpha if leaky else np.ones(hidden), width),
        **(_constant("rise", 1 - alpha, width) if leaky else rise),
        "reset": reset,
        "refractory": refractory,
    }
    if cell == "lif":
        return LIF(**shared)
    width_w = int(pick("state_width"))
    if cell == "cuba":
        synapse = _signed(width_w, _frac(width_w) + int(rng.integers(-2, 2)))
        return CubaLIF(**shared, synapse=synapse, **_constant("beta", beta if leaky else np.ones(hidden), width))
    limit = (1 + alpha) * (1 + beta) if cell == "se" else 1 - alpha * beta
    coupling = rng.uniform(0, 0.8, hidden) * limit / (1 - alpha)
    return AdaptiveLIF(
        **shared,
        order=cell,
        adaptation=_signed(width_w, _frac(width_w) + int(rng.integers(-2, 2))),
        **_constant("beta", beta, width),
        **_constant("coupling", np.minimum(coupling, 4), width),
        **_constant("jump", rng.uniform(0, 4, hidden), width),
    )


def _integrators(rng: np.random.Generator, pick: Any, source: Node) -> LeakyIntegrator:
    classes, weight_width, width = pick("classes"), int(pick("weight_width")), int(pick("state_width"))
    decay = _constant("decay", np.exp(-1 / rng.uniform(1, 20, classes)), int(pick("constant_width")))
    return LeakyIntegrator(
        name="readout",
        inputs=(source.name,),
        output=_signed(width, _frac(width)),
        format=source.output,
        weight=_codes(rng, weight_width, (classes, source.channels), pick("extreme")),
        weight_width=weight_width,
        weight_frac=rng.integers(0, 10, classes),
        bias=rng.integers(-500, 501, classes),
        decay_width=16,
        **decay,
    )


def _frac(width: int) -> int:
    """Fractional bits that leave a state of ``width`` bits some range above the threshold."""
    return min(max(width - 6, 2), 16)


def _constant(name: str, values: np.ndarray, width: int) -> dict[str, Any]:
    """Codes of non-negative constants, rounded down, and their fractional bits."""
    top = (1 << (width - 1)) - 1
    frac = int(np.floor(np.log2(top / max(float(values.max()), 1e-9))))
    return {name: np.floor(values * 2.0**frac).astype(np.int64), f"{name}_frac": min(frac, width + 4)}
