"""The lines of docs/onnx.md, run as they stand there, with numpy and onnxruntime alone."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pumice.export.onnx import build_sequence, build_step
from pumice.program import reference
from pumice.program.random.networks import random_network
from pumice.program.random.programs import random_sample
from pumice.program.samples import codes

PAGE = Path(__file__).parents[3] / "docs" / "onnx.md"
BEFORE = """
import sys
sys.modules.update(dict.fromkeys(["pumice", "torch", "onnx"]))  # none of them can be imported
import numpy as np
sample = np.load("sample.npz")
tokens, times = sample["tokens"], sample["times"]
"""
AFTER = "\nnp.save('logits.npy', logits)\nnp.save('running.npy', out['logits'])\n"


@pytest.mark.parametrize("settings", [{}, {"pooling": "timepool", "head": "timepool"}])
def test_lines_run_as_written(lowered, tmp_path, settings):
    network = lowered(**settings)
    tokens, times = network.samples[0]
    (tmp_path / "onnx").mkdir()
    for name, build in (("step", build_step), ("sequence", build_sequence)):
        (tmp_path / "onnx" / f"{name}.onnx").write_bytes(build(network.program).SerializeToString())
    np.savez(tmp_path / "sample.npz", tokens=tokens, times=times + 98_765)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    printed = execute("".join([BEFORE, *blocks[:2], AFTER]), tmp_path)
    trace = reference.run(network.program, [(tokens, times)])[0]
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy")[0], trace.logits)
    np.testing.assert_array_equal(np.load(tmp_path / "running.npy")[0], trace.logits)
    assert printed.splitlines()[0] == network.program.class_names[int(trace.logits.argmax())]


@pytest.mark.parametrize("kind", ["real", "counts"])
def test_lines_for_spiking_networks_run_as_written(tmp_path, kind):
    program = random_network(12, value="dense", input=kind, layers=1)
    values, times = random_sample(program, 3, 40)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "sequence.onnx").write_bytes(build_sequence(program).SerializeToString())
    np.savez(tmp_path / "sample.npz", tokens=values, times=times)
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[2]
    imports = "import json, onnxruntime\nvalues = tokens\n"
    printed = execute("".join([BEFORE, imports, block, "\nnp.save('series.npy', series)\n"]), tmp_path)
    trace = reference.run(program, [(values, times)])[0]
    assert trace.series.any()
    np.testing.assert_array_equal(np.load(tmp_path / "series.npy")[0], trace.series)
    assert printed.splitlines()[0] == program.class_names[int(trace.series.mean(axis=0).argmax())]


def test_float32_just_below_a_half_is_rounded_as_the_program_rounds_it(tmp_path):
    program = random_network(12, value="dense", input="real", layers=1)
    values, times = random_sample(program, 3, 40)
    unit = 2.0**-program.value_input.output.frac
    values = (np.round(values / unit) + np.nextafter(np.float32(0.5), np.float32(0))).astype(np.float32) * unit
    values[::3] = np.nextafter(np.float32(0.5), np.float32(0)) * unit
    assert values.dtype == np.float32
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "sequence.onnx").write_bytes(build_sequence(program).SerializeToString())
    np.savez(tmp_path / "sample.npz", tokens=values, times=times)
    block = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[2]
    code = "".join([BEFORE, "import json, onnxruntime\nvalues = tokens\n", block, "\nnp.save('codes.npy', codes)\n"])
    execute(code, tmp_path)
    expected, _ = codes(program, (values, times))
    np.testing.assert_array_equal(np.load(tmp_path / "codes.npy"), expected)
    assert (np.floor(values / np.float32(unit) + np.float32(0.5)) != expected).any()


def execute(code, folder):
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_example_has_ten_lines():
    assert len(re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1].splitlines()) == 10
