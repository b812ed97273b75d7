"""How little a command loads before it knows that it needs more."""

import subprocess
import sys

CODE = """
import sys
import pumice.cli.run, pumice.stages.report
from pumice.stages.run import follows
assert not follows({"system": {}})
print(sorted({"torch", "lightning", "onnxruntime", "matplotlib.pyplot"} & set(sys.modules)))
"""


def test_a_report_is_written_without_torch():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
