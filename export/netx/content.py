"""The digest of what a .net file holds, which Pumice keeps in the files it writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...program.nodes import LoihiLIF
from ...program.nodes.loihi import LIMITS

CONTENT = "content"
"""The attribute of the root that holds it."""


def content_digest(nodes: Sequence[LoihiLIF], attributes: Mapping[str, Any]) -> str:
    """SHA-256 of the layers, as a file has them, and of all other attributes of its root."""
    told = {str(name): np.asarray(value).tolist() for name, value in attributes.items() if name != CONTENT}
    sha = hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode("utf-8"))
    for node in nodes:
        exponent = node.weight_exponent
        for matrix in (node.weight.astype(np.int64), node.recurrent.astype(np.int64)):
            _add(sha, matrix << exponent if exponent > 0 else matrix >> -exponent)
        _add(sha, node.bias)
        for what in LIMITS:
            _add(sha, node.each(what))
    return sha.hexdigest()


def _add(sha: Any, codes: np.ndarray) -> None:
    sha.update(json.dumps(codes.shape).encode("utf-8"))
    sha.update(np.ascontiguousarray(codes, dtype="<i8").tobytes())
