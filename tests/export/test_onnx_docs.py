"""The lines of docs/onnx.md, run as they stand there, with numpy and onnxruntime alone."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pumice.export.onnx import build_sequence, build_step
from pumice.hw_sim import reference

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
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
    assert len(blocks) == 2
    code = "".join([BEFORE, *blocks, AFTER])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    trace = reference.run(network.program, [(tokens, times)])[0]
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy")[0], trace.logits)
    np.testing.assert_array_equal(np.load(tmp_path / "running.npy")[0], trace.logits)
    assert done.stdout.splitlines()[0] == network.program.class_names[int(trace.logits.argmax())]


def test_the_first_example_has_ten_lines():
    assert len(re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1].splitlines()) == 10
