"""Try models on their own known answers, in any runtime: python check.py [RUNTIME] [MODEL.onnx ...]

RUNTIME is onnxruntime (if none is named), reference (onnx.reference.ReferenceEvaluator) or openvino; without models
all beside this file are tried. It needs numpy and the runtime alone. Exit code 1: numbers differ.
"""

import base64
import json
import re
import sys
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np

Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def open_model(runtime: str, path: str) -> Run:
    """A function from inputs by name to outputs by name."""
    if runtime == "onnxruntime":
        session = import_module(runtime).InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return lambda fed: dict(zip(names, session.run(None, fed), strict=True))
    if runtime == "reference":
        session = import_module("onnx.reference").ReferenceEvaluator(path)
        return lambda fed: dict(zip(session.output_names, session.run(None, fed), strict=True))
    compiled = import_module(runtime).compile_model(path, "CPU")
    return lambda fed: {name: value for output, value in compiled(fed).items() for name in output.names}


def check(runtime: str, path: str) -> bool:
    """Run a model from the state zero on the inputs that it carries, and compare; whether nothing differs."""
    kept = re.search(rb"known_answer\x12.{1,5}?:([A-Za-z0-9+/=]+):", Path(path).read_bytes(), re.DOTALL)
    if kept is None:
        print(f"{path}: not tried, an approximation has no known answer")
        return True
    answer = json.loads(zlib.decompressobj().decompress(base64.b64decode(kept[1]), 1 << 24))
    inputs, states, each, last = (
        {name: np.resize(np.array(value["values"], value["dtype"]), value["shape"]) for name, value in part.items()}
        for part in (answer["inputs"], answer["states"], answer["each"], answer["last"])
    )
    columns = {name: value.get("columns", slice(None)) for name, value in answer["last"].items()}
    run, wrong, total, first = open_model(runtime, path), 0, 0, ""
    calls = len(inputs["valid"])
    for call in range(calls):
        out = run({**{name: array[call] for name, array in inputs.items()}, **states})
        states = {name: out["next" + name[len("state") :]] for name in states}
        right = {name: array[call] for name, array in each.items()}
        for name, array in {**right, **(last if call == calls - 1 else {})}.items():
            found = np.asarray(out[name])[..., columns.get(name, slice(None))]
            different = int(np.sum(found.astype(np.int64) != array))
            first = first or (f", first in {name} of call {call}; do not use it there" if different else "")
            wrong, total = wrong + different, total + array.size
    release = import_module(runtime.replace("reference", "onnx")).__version__
    print(f"{path} in {runtime} {release}: {wrong:,} of {total:,} numbers differ{first}")
    return wrong == 0


if __name__ == "__main__":
    runtimes = [word for word in sys.argv[1:] if not word.endswith(".onnx")] or ["onnxruntime"]
    models = [word for word in sys.argv[1:] if word.endswith(".onnx")]
    models = models or sorted(str(path) for path in Path(__file__).parent.glob("*.onnx"))
    sys.exit(0 if all([check(runtime, model) for runtime in runtimes for model in models]) else 1)
