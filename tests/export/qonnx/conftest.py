"""Readings of QONNX's Quant that know nothing of ours."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun


class Quant(OpRun):
    """QONNX's operator as its documentation has it, in float64."""

    op_domain = "qonnx.custom_op.general"

    def _run(self, x, scale, zero, bits, narrow=None, rounding_mode=None, signed=None):
        if rounding_mode not in ("ROUND", b"ROUND"):
            raise ValueError(rounding_mode)
        kind = x.dtype
        x, scale, zero, bits = (np.asarray(value, dtype=np.float64) for value in (x, scale, zero, bits))
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        low = -(2 ** (bits - 1)) + bool(narrow) if signed else 0.0
        codes = np.round(np.clip(x / scale + zero, low, high))
        return (((codes - zero) * scale).astype(kind),)


def run_reference(model, inputs):
    """Outputs by name, in ONNX's own evaluator, row by row where the model takes one."""
    evaluator = ReferenceEvaluator(model, new_ops=[Quant])
    names = [output.name for output in model.graph.output]
    batch = model.graph.input[0].type.tensor_type.shape.dim[0]
    step = 1 if batch.dim_value else len(next(iter(inputs.values())))
    rows = range(0, len(next(iter(inputs.values()))), max(step, 1))
    found = [evaluator.run(names, {name: x[row : row + step] for name, x in inputs.items()}) for row in rows]
    return {name: np.concatenate([row[index] for row in found]) for index, name in enumerate(names)}


@pytest.fixture(scope="session")
def reference_of():
    return run_reference
