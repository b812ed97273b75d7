"""Exported forms come from the program alone."""

import subprocess
import sys

import pytest

BLOCKED = ("torch", "brevitas", "lightning", "tonic")


@pytest.mark.parametrize("package", ["pumice.export.onnx", "pumice.export.lava"])
def test_writing_needs_no_training_library(package):
    code = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED!r})); import {package}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
