"""Known answers: what models carry, what check.py says of right and of wrong models, and what stays in int64."""

import base64
import itertools
import json
import re
import shutil
import subprocess
import sys
import zlib

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from pumice.errors import ParityError
from pumice.export.onnx import build_sequence, build_step
from pumice.export.onnx.integer import INTEGER
from pumice.export.onnx.opset import operations
from pumice.export.onnx.qdq import QDQ
from pumice.export.onnx.trial import run_check, write_check
from pumice.export.onnx.wide import hazards
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_program

PROGRAMS = {
    "token-fed": lambda: random_program(4, value="token", pairing="causal", stride=2),
    "dense-fed": lambda: random_program(5, value="dense", pairing="next", stride=3, pool="mean"),
    "pooled by time": lambda: random_program(6, value="token", stride=4, stages=2, pool="time", readout="time"),
    "an answer a window": lambda: random_program(4, value="dense", stride=2, readout="steps"),
    "clocked": lambda: random_network(7, value="dense", cell="se", recurrent=True, state_width=16, hidden=9),
    "clocked tokens": lambda: random_network(9, value="token", cell="ef", layers=2, state_width=16, hidden=5),
}


@pytest.fixture(params=PROGRAMS)
def program(request):
    return PROGRAMS[request.param]()


def properties_of(model):
    return {item.key: item.value for item in model.metadata_props}


@pytest.mark.parametrize("runtime", ["onnxruntime", "reference"])
def test_models_answer_right(tmp_path, runtime):
    """All of them in one process, since its start takes longer than a model."""
    tried = {}
    for number, (make, how) in enumerate(itertools.product(PROGRAMS.values(), ({}, {"dialect": INTEGER, "opset": 18}))):
        program = make()
        for name, build in (("step", build_step), ("sequence", build_sequence)):
            tried[f"{number}-{name}.onnx"] = build(program, **how), program, name
        tried[f"{number}-qdq.onnx"] = build_step(program, dialect=QDQ, branches=False), program, "qdq"
    for name, (model, *_) in tried.items():
        (tmp_path / name).write_bytes(model.SerializeToString())
    write_check(tmp_path)
    lines = run_check(tmp_path, [*tried], runtime)
    for line, (file, (_, program, name)) in zip(lines, tried.items(), strict=True):
        if name == "qdq":
            assert line == f"{file}: not tried, an approximation has no known answer"
        else:
            assert line.startswith(file)
            compared = int(re.search(r": 0 of ([\d,]+) numbers differ$", line)[1].replace(",", ""))
            assert compared >= len(program.class_names) * (40 if name == "step" else 1)


def test_answers_are_small_and_change_with_the_events(program):
    text = properties_of(build_step(program))["known_answer"]
    assert len(text) < 6_000
    answer = json.loads(zlib.decompress(base64.b64decode(text.strip(":"))))
    logits = np.reshape(answer["each"]["logits"]["values"], answer["each"]["logits"]["shape"])
    assert len(np.unique(logits, axis=0)) > 5
    valid = answer["inputs"]["valid"]["values"]
    assert valid.count(0) == 1
    assert all(any(state["values"]) for state in answer["last"].values())
    assert properties_of(build_step(program))["known_answer"] == text


def test_a_number_that_differs_ends_with_code_1(tmp_path, program):
    model = build_step(program)
    constant = numpy_helper.from_array(np.array(1, dtype_of(model, "logits")), "off_by_one")
    model.graph.initializer.append(constant)
    for operation in model.graph.node:
        operation.output[:] = ["right" if name == "logits" else name for name in operation.output]
        operation.input[:] = ["right" if name == "logits" else name for name in operation.input]
    model.graph.node.append(onnx.helper.make_node("Add", ["right", "off_by_one"], ["logits"]))
    (tmp_path / "step.onnx").write_bytes(model.SerializeToString())
    write_check(tmp_path)
    with pytest.raises(ParityError, match=r"step\.onnx in onnxruntime .* numbers differ, first in logits of call 0"):
        run_check(tmp_path, ["step.onnx"])
    done = subprocess.run([sys.executable, "check.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "do not use it there" in done.stdout


def dtype_of(model, output):
    (value,) = (value for value in model.graph.output if value.name == output)
    return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def test_it_needs_numpy_and_the_runtime_alone(tmp_path):
    (tmp_path / "step.onnx").write_bytes(build_step(PROGRAMS["clocked"]()).SerializeToString())
    shutil.copy(write_check(tmp_path), tmp_path / "alone.py")
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['pumice', 'torch', 'onnx', 'brevitas']))\n"
        "sys.argv = ['check.py', 'onnxruntime', 'step.onnx']\n"
        "exec(compile(open('alone.py').read(), 'alone.py', 'exec'), {'__name__': '__main__', '__file__': 'alone.py'})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "0 of" in done.stdout


def test_networks_of_default_widths_hold_int64_in_their_clock_alone(lowered_network):
    program = lowered_network("se-adlif").program
    for build in (build_step, build_sequence):
        model = build(program, dialect=INTEGER)
        assert json.loads(properties_of(model)["int64"]) == {"clock": "counts of events"}
        found = "quotients or products beyond 24 bits of cells/0 and 2 more (fewer with"
        assert hazards(model) == [f"{found} export.opset=18)"]
        assert hazards(build(program, dialect=INTEGER, opset=18)) == []
        assert hazards(build(program)) == [f"{found} export.integers=true export.opset=18)"]


def test_what_stays_in_int64_is_named_with_its_reason(lowered):
    program = lowered(pooling="timepool", head="timepool").program
    model = build_step(program, dialect=INTEGER, opset=18)
    reasons = json.loads(properties_of(model)["int64"])
    assert re.fullmatch(r"the variance of \d\d bits.*", reasons["stages/0/layers/1/norm"])
    assert reasons["gap"] == "gaps"
    assert reasons["stages/0/layers/0/ssm"] == "gaps, until they are limited"
    assert "stages/0/layers/0/y" not in reasons
    assert reasons["readout"] == "sums weighted by gaps"
    wrong = hazards(model)
    assert wrong[0].startswith("64-bit integers of stages/0/layers/0/")
    assert wrong[1] == "quotients or products beyond 24 bits of decoder"
    assert {op.op_type for op in operations(model.graph)} >= {"MatMul", "BitwiseAnd"}
