# /// script
# requires-python = "==3.10.*"
# dependencies = ["lava-nc==0.10.0", "numpy<2"]
# ///
"""``python run.py [--parts layers|fused|stock]``: run ``program.npz`` on ``inputs.npz`` as a Lava network.

README.md tells the rest. What the processes send goes to ``outputs/``. Exit code 1: a process failed, or logits differ
from ``expected.npz``; 2: the program cannot be made of these parts, or a file is damaged.
"""

import argparse
import shutil
import sys
from pathlib import Path

from pumice.export.lava.runtime.check import check
from pumice.export.lava.runtime.failures import FOLDER
from pumice.export.lava.runtime.network import run
from pumice.export.lava.runtime.parts import LAYERS, PARTS
from pumice.export.lava.runtime.supervision import end_processes, supervise
from pumice.export.lava.runtime.synapses import check_parts
from pumice.program import ProgramError, load
from pumice.program.archive import read_arrays


def main() -> int:
    """Run, compare, leave a mark that everything was written."""
    parser = argparse.ArgumentParser(description="Run the program of this folder as a Lava network.")
    parser.add_argument("--parts", choices=PARTS, default=LAYERS, help="which processes make the network")
    parser.add_argument("--parent", type=int, help="end as soon as this process is gone")
    arguments = parser.parse_args()
    outputs = Path("outputs")
    try:
        for old in (outputs, Path(FOLDER)):
            if old.exists():
                shutil.rmtree(old)
        outputs.mkdir()
    except OSError as error:
        sys.exit(f"cannot write {outputs.resolve()}: {error.strerror}; copy the bundle to a folder of your own")
    supervise(arguments.parent)
    try:
        inputs = read_arrays("inputs.npz")
        program = load("program.npz")
        check_parts(program, arguments.parts)
    except (ProgramError, OSError, ValueError) as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    try:
        run(program, inputs, outputs, arguments.parts)
    except KeyboardInterrupt:
        end_processes()
        print("interrupted", file=sys.stderr)
        return 130
    except BaseException:
        end_processes()
        raise
    differing = check(program, inputs["flags"][:, 0], outputs)
    (outputs / "done").touch()
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
