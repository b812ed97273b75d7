"""A folder of models of the parts of a program, with test vectors and a list of what it holds and leaves out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from ...archives import save_arrays
from ...errors import PumiceError
from ...files import atomic_folder, write_json
from ...program import Program, digest
from ...program.nodes import Node
from ...program.samples import Sample
from .check import compare, vectors
from .dialects import check_wide, dialect_of
from .model import ROUNDING, build, token_name
from .parts import Part, split
from .writers import beyond_float32, kinds, reasons

MANIFEST = "parts.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Written:
    """What `write_parts` wrote.

    Attributes:
        manifest: as it stands in the file.
        values: of the outputs, all equal to the program's in onnxruntime.
    """

    manifest: dict[str, Any]
    values: int

    def lines(self) -> Iterator[str]:
        """What was written and what was not, a line a part and a reason."""
        for part in self.manifest["parts"]:
            named = ", ".join(entry["node"] for entry in part["nodes"])
            beyond = part["beyond_float32"]
            yield f"{part['file']}: {named}" + (f" (sums beyond float32: {', '.join(beyond)})" if beyond else "")
        why: dict[str, list[str]] = {}
        for entry in self.manifest["left_out"]:
            why.setdefault(entry["why"], []).append(entry["node"])
        for reason, nodes in why.items():
            yield f"left out: {', '.join(nodes)}: {reason}"
        yield f"onnxruntime: 0 of {self.values:,} values of the parts differ from the program's"


def write_parts(
    program: Program,
    folder: str | Path,
    samples: Sequence[Sample],
    dialect: str = "qonnx",
    leave_out: Collection[str] = (),
    wide: bool = False,
) -> Written:
    """Write each part of a program that keeps no state as a model, compared in onnxruntime; all or nothing.

    ``part_0.onnx`` is the first, ``part_0_io.npz`` its vectors, ``parts.json`` says what is in which and what in none.

    Args:
        program: any.
        folder: must not exist.
        samples: of the vectors.
        dialect: of `DIALECTS`.
        leave_out: names of node types that are not to be written.
        wide: write sums that float32 does not hold as well, for tools that compute in fixed point; such parts are
            compared in float64.

    Raises:
        PumiceError: no part, wide sums of a dialect that runtimes compute in float32, an unknown dialect or type, or a
            folder that exists or cannot be written to.
        ProgramError: a sample that the program cannot take.
        ParityError: onnxruntime gives other values than the program.
    """
    chosen = dialect_of(dialect)
    unwanted = kinds(leave_out) | kinds(chosen.without)
    check_wide(chosen, wide)
    parts, left_out = split(program, reasons(program, unwanted, wide))
    if not parts:
        raise PumiceError(
            "the program has no part without a state that operators of quantized networks hold: "
            f"{_first(left_out)}; export it with target=onnx or c"
        )
    models = [build(program, part, chosen) for part in parts]
    held, values = vectors(program, parts, samples), 0
    manifest: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "program": digest(program),
        "dialect": chosen.name,
        "values": "code 2^-frac in float32; tokens are int64",
        "rounding": ROUNDING,
        "parts": [_entry(program, part, models[index], index) for index, part in enumerate(parts)],
        "left_out": [
            {"node": name, "type": type(program[name]).__name__, "why": why} for name, why in left_out.items()
        ],
    }
    with atomic_folder(folder) as fresh:
        for entry, model, arrays in zip(manifest["parts"], models, held, strict=True):
            values += compare(model, arrays, chosen.batch, doubles=bool(entry["beyond_float32"]))
            (fresh / entry["file"]).write_bytes(model.SerializeToString())
            save_arrays(fresh / entry["vectors"], arrays, compress=True)
        write_json(fresh / MANIFEST, manifest)
    return Written(manifest, values)


def _first(left_out: dict[str, str]) -> str:
    name = next(iter(left_out))
    return f"{name} {left_out[name]}" + (f", and {len(left_out) - 1} more nodes" if len(left_out) > 1 else "")


def _entry(program: Program, part: Part, model: onnx.ModelProto, index: int) -> dict[str, Any]:
    tokens = token_name(program)

    def edge(node: Node) -> dict[str, Any]:
        form = node.output
        told = {"name": node.name, "width": form.width, "frac": form.frac, "signed": form.signed}
        return {**told, "channels": node.channels, "tokens": node.name == tokens}

    return {
        "file": f"part_{index}.onnx",
        "vectors": f"part_{index}_io.npz",
        "nodes": [{"node": node.name, "type": type(node).__name__} for node in part.nodes],
        "every": part.rate,
        "inputs": [edge(node) for node in part.inputs],
        "outputs": [edge(node) for node in part.outputs],
        "beyond_float32": [node.name for node in part.nodes if beyond_float32(node)],
        "operators": sorted({operation.op_type for operation in model.graph.node}),
    }
