"""Programs with changed fields and tensors under a digest that is right: what a hostile or mistaken writer makes."""

from __future__ import annotations

import collections
import copy
import io
import json
import random
import zipfile

import numpy as np
import pytest
from pumice.errors import PumiceError
from pumice.export.onnx import run_onnx
from pumice.hw_sim.counts import count
from pumice.hw_sim.inspection import inspect, inspection_table
from pumice.hw_sim.parity.compare import compare
from pumice.hw_sim.simulator import run, run_stepwise
from pumice.program import ProgramError, load, reference, storage
from pumice.program.random.loihi import random_loihi
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program, random_sample
from rich.console import Console

DRAWS = (random_program, random_network, random_loihi)
NUMBERS = [0, 1, -1, 2, 3, 7, 8, 12, 15, 16, 24, 30, 31, 32, 33, 48, 52, 60, 61, 62, 63, 64, 255, 1 << 15, 1 << 16]
NUMBERS += [1 << 20, (1 << 31) - 1, 1 << 31, 1 << 40, 1 << 52, 1 << 53, 1 << 61, 1 << 62, 1 << 63, 10**30]
NUMBERS += [-8, -16, -60, -61, -(1 << 31), -(1 << 63)]
STRANGE = [
    None,
    True,
    False,
    1.5,
    1e308,
    "",
    "x",
    "é\n",
    "[/x]",
    [],
    [1],
    [[]],
    {},
    {"tensor": "x"},
    {"tensor": []},
    "a/b",
]
STRANGE += [
    {"width": 8, "signed": True, "frac": 0},
    {"width": 8, "signed": 1, "frac": 0.5},
    {"width": 64, "signed": False},
]
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i2", "?"]


def pack(program):
    """The header and tensors of a program, to be changed."""
    header, tensors = storage._pack(program)
    return copy.deepcopy(header), {name: tensor.copy() for name, tensor in tensors.items()}


def write(path, header, tensors):
    """Write them under the right digest."""
    header["digest"] = storage.sealed_by(header, tensors)
    arrays = {"header": np.frombuffer(storage._canonical(header), dtype=np.uint8), **tensors}
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(f"{name}.npy", content.getvalue())


def changed(header, tensors, rng):
    """Change one thing, in place; what it was."""
    kind = rng.choice(
        ["extreme", "extreme", "extreme", "dtype", "shape", "number", "number", "number", "strange", "graph"]
    )
    if kind in ("extreme", "dtype", "shape"):
        name = rng.choice(sorted(tensors))
        tensors[name] = {"extreme": _extreme, "dtype": _dtype, "shape": _shape}[kind](tensors[name], rng)
    elif kind == "graph":
        name = _graph(header, rng)
    else:
        place, key = rng.choice(_leaves(header["nodes"], kind == "number"))
        value = rng.choice([*NUMBERS, place[key] + 1, place[key] - 1] if kind == "number" else STRANGE)
        place[key], name = value, f"{key}={value!r}"
    return f"{kind} {name}"


def _extreme(tensor, rng):
    limits = np.iinfo(tensor.dtype) if tensor.dtype.kind in "iu" else np.iinfo(np.int8)
    wide = rng.random() < 0.3
    values = [limits.min, limits.max, 0, 1] if not wide else [-(1 << 63), (1 << 63) - 1, 1 << 30, 1 << 51, 60, -60]
    tensor = tensor.astype(np.int64) if wide else tensor
    flat = tensor.reshape(-1)
    places = range(flat.size) if rng.random() < 0.3 else rng.sample(range(flat.size), min(flat.size, 2))
    for place in places:
        flat[place] = rng.choice(values)
    return tensor


def _dtype(tensor, rng):
    dtype = np.dtype(rng.choice(DTYPES))
    made = tensor.astype(dtype)
    if made.size and dtype.kind in "iu" and rng.random() < 0.5:
        made.reshape(-1)[-1] = rng.choice([np.iinfo(dtype).min, np.iinfo(dtype).max])
    return made


def _shape(tensor, rng):
    return rng.choice([
        lambda: tensor[:-1], lambda: tensor[:0], lambda: tensor[None], lambda: tensor.T.copy(), lambda: tensor.ravel(),
        lambda: np.concatenate([tensor, tensor]), lambda: tensor.reshape(-1)[:1].reshape(()) if tensor.size else tensor,
    ])()  # fmt: skip


def _graph(header, rng):
    nodes = header["nodes"]
    if not all(isinstance(node, dict) and isinstance(node.get("inputs"), list) and "name" in node for node in nodes):
        return "nothing more"
    names = [node["name"] for node in nodes]
    node, other = rng.choice(nodes), rng.choice(nodes)
    kind = rng.choice(
        ["edge", "swap", "drop", "twice", "logits", "pairing", "classes", "type", "provenance", "step", "key"]
    )
    if kind == "edge" and node["inputs"]:
        node["inputs"][rng.randrange(len(node["inputs"]))] = rng.choice([*names, "nowhere", ""])
    elif kind == "swap":
        first, second = nodes.index(node), nodes.index(other)
        nodes[first], nodes[second] = nodes[second], nodes[first]
    elif kind == "drop":
        nodes.remove(node)
    elif kind == "twice":
        nodes.append({**node, "name": node["name"] + rng.choice(["", "2"])})
    elif kind == "logits":
        header["logits"] = rng.choice([*names, None, 3])
    elif kind == "pairing":
        header["pairing"] = rng.choice(["next", "causal", "both", None, []])
    elif kind == "classes":
        header["class_names"] = rng.choice(
            [["a"], [], None, [1, 2, 3], ["[/x]", "b", "c"], ["é", "\u200b", "c"], "abc", {"a": 1}]
        )
    elif kind == "type":
        node["type"] = rng.choice([other["type"], "Nothing", None, []])
    elif kind == "provenance":
        header["provenance"] = rng.choice(
            [None, [], {}, {"config": 3}, {"config": {"quantize": []}}, "x", {"versions": None}]
        )
    elif kind == "step":
        header["step_us"] = rng.choice([None, 0, 1, 1000, -1, 1.5, "1", 1 << 41, True])
    else:
        node.pop(rng.choice(sorted(node)))
    return kind


def _leaves(value, numbers, found=None):
    """Places (container, key) of values; of numbers alone."""
    found = [] if found is None else found
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(entry, (dict, list)):
            _leaves(entry, numbers, found)
        if type(entry) is int if numbers else key != "registers":
            found.append((value, key))
    return found


BACKENDS = {
    "reference": lambda program, samples, trace: reference.run(program, samples, trace=trace),
    "run": lambda program, samples, trace: run(program, samples, trace=trace, threads=1),
    "step": lambda program, samples, trace: run_stepwise(program, samples, trace=trace, threads=1),
}


def samples_of(program, rng):
    """A few: ordinary ones, and the extremes of what a host may give."""
    samples = [random_sample(program, rng.randrange(1000), events) for events in (9, 1)]
    values, times = samples[0]
    if values.dtype.kind == "f":
        samples.append((np.where(values > 0, 1e30, -1e30), times))
    return (
        samples
        if program.step_us is None
        else [(values, np.arange(len(times)) * program.step_us) for values, times in samples]
    )


def attempted(call, *arguments):
    """(what it gives, ""), or (None, the sentence that refuses)."""
    try:
        return call(*arguments), ""
    except (ProgramError, PumiceError) as error:
        sentence = str(error)
    if "\n" in sentence:
        raise ValueError(f"not one sentence: {sentence!r}")
    return None, sentence


def judge(path, rng, onnx=True):
    """'refused', or 'same' where every backend gives the same values; anything else is raised."""
    program, sentence = attempted(load, path)
    if sentence:
        return "refused"
    console = Console(file=io.StringIO())
    console.print(inspection_table(inspect(program)))
    json.dumps(inspect(program), allow_nan=False)
    backends = dict(BACKENDS)
    if onnx and not any(node.chip for node in program):
        backends["onnx"] = run_onnx
    samples = samples_of(program, rng)
    for name in list(backends):
        _, sentence = attempted(backends[name], program, samples[:1], False)
        if sentence:
            assert name == "onnx", f"{name} refuses what the format takes: {sentence}"
            del backends[name]
    result = compare(program, samples, backends, traced=len(samples))
    assert result.differing == 0, [verdict.first for verdict in result.verdicts]
    count(program, run(program, samples, trace=True, threads=1))
    return "same"


def attempt(path, seed, rng, **options):
    """Change a random program in one to three places and judge it: (what was changed, the verdict)."""
    draw = DRAWS[seed % len(DRAWS)]
    header, tensors = pack(draw(seed))
    what = [changed(header, tensors, rng) for _ in range(rng.choice([1, 1, 1, 2, 3]))]
    try:
        write(path, header, tensors)
    except (ValueError, TypeError, AttributeError):  # the writer cannot seal it: JSON does not hold NaN
        return what, "unwritten"
    return what, judge(path, rng, **options)


FEW, PIECES, MANY = 30, 20, 150


def check(path, first, count):
    """Judge ``count`` changed programs; some are refused, and some are taken."""
    verdicts = collections.Counter()
    for seed in range(first, first + count):
        what, verdict = attempt(path, seed, random.Random(seed))
        verdicts[verdict] += 1
        assert verdict in ("refused", "same", "unwritten"), (seed, what)
    assert verdicts["refused"] > count / 4
    assert verdicts["same"] > 0
    assert {entry.name for entry in path.parent.iterdir()} == {path.name}


def test_changed_programs(tmp_path):
    check(tmp_path / "program.npz", 0, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("piece", range(PIECES))
def test_many_changed_programs(tmp_path, piece):
    check(tmp_path / "program.npz", 100_000 + piece * MANY, MANY)
