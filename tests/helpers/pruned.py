"""Programs whose weights are zero, for a good part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pumice.program import Program


def pruned(program: Program, share: float, seed: int = 0) -> Program:
    """The same program with so many of the codes of its matrices zero, anywhere."""
    rng, nodes = np.random.default_rng(seed), []
    for node in program:
        changed = {}
        for field in node.matrices:
            codes = getattr(node, field)
            parts = [part * (rng.random(part.shape) >= share) for part in (codes if type(codes) is tuple else [codes])]
            changed[field] = tuple(parts) if type(codes) is tuple else parts[0]
        nodes.append(replace(node, **changed))
    return replace(program, nodes=tuple(nodes))
