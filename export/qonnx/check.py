"""Models of parts in onnxruntime, held against the program's own integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime

from ...errors import ParityError
from ...program import Program, reference
from ...program.nodes import Node
from ...program.samples import Sample
from .model import token_name
from .parts import Part
from .runnable import runnable
from .sums import EXACT_BITS


def run(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], batch: int | str, doubles: bool = False
) -> dict[str, np.ndarray]:
    """Outputs by name of a model of a part for inputs (rows, ...), row by row where ``batch`` is a number.

    With ``doubles`` in float64, as parts need whose sums go beyond float32.
    Operators of quantized values are not fused: on processors without VNNI the fused ones saturate pairs of products.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(
        runnable(model, doubles).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    if doubles:
        inputs = {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in inputs.items()}
    names = [output.name for output in session.get_outputs()]
    rows = len(next(iter(inputs.values())))
    step = rows if isinstance(batch, str) else batch
    found = [
        session.run(names, {name: values[start : start + step] for name, values in inputs.items()})
        for start in range(0, rows, max(step, 1))
    ]
    return {name: np.concatenate([outputs[index] for outputs in found]) for index, name in enumerate(names) if found}


def vectors(program: Program, parts: Sequence[Part], samples: Sequence[Sample]) -> list[dict[str, np.ndarray]]:
    """What goes in and comes out of each part, one row an event of its rate: ``input/<edge>``, ``output/<edge>``.

    Real values in float32 (rows, channels), float64 where an edge has more than 24 bits; tokens int64 (rows,); from
    the program's reference.
    """
    traces, tokens = reference.run(program, samples), token_name(program)

    def rows(node: Node) -> np.ndarray:
        codes = np.concatenate([trace.values[node.name] for trace in traces])
        if node.name == tokens:
            return codes[:, 0]
        values = codes * 2.0**-node.output.frac
        return values if node.output.width > EXACT_BITS else values.astype(np.float32)

    return [
        {
            **{f"input/{node.name}": rows(node) for node in part.inputs},
            **{f"output/{node.name}": rows(node) for node in part.outputs},
        }
        for part in parts
    ]


def compare(model: onnx.ModelProto, held: Mapping[str, np.ndarray], batch: int | str, doubles: bool = False) -> int:
    """How many values were compared; ``doubles`` as of `run`.

    Raises:
        ParityError: onnxruntime gives others than ``held``.
    """
    inputs = {name.removeprefix("input/"): rows for name, rows in held.items() if name.startswith("input/")}
    if not len(next(iter(inputs.values()))):
        return 0
    values = 0
    for name, found in run(model, inputs, batch, doubles).items():
        wrong = int((found != held[f"output/{name}"]).sum())
        values += found.size
        if wrong:
            told = {entry.key: entry.value for entry in model.metadata_props}
            raise ParityError(
                f"{wrong:,} of {found.size:,} values of {name} in onnxruntime differ from those of the program "
                f"{told['program_digest'][:12]}; report this with program.npz"
            )
    return values
