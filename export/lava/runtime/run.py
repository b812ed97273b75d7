# /// script
# requires-python = "==3.10.*"
# dependencies = ["lava-nc==0.10.0", "numpy<2"]
# ///
"""``python run.py [--parts layers|fused|stock] [RECORDING ...]``: run ``program.npz`` as a Lava network.

It runs on ``inputs.npz``, or on recordings: .npy, .npz or .csv files, see ``encode.py``. README.md tells the rest. What
the processes send goes to ``outputs/``. Exit code 1: a process failed, or logits differ from ``expected.npz``, of
recordings from those of the program's reference; 2: the program cannot be made of these parts, or a file is damaged or
no recording.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from encode import Encoder, Refused, read
from pumice.export.lava.runtime.check import check, check_recordings
from pumice.export.lava.runtime.failures import FOLDER
from pumice.export.lava.runtime.network import run
from pumice.export.lava.runtime.parts import LAYERS, PARTS
from pumice.export.lava.runtime.sending import source_arrays
from pumice.export.lava.runtime.supervision import end_processes, supervise
from pumice.export.lava.runtime.synapses import check_parts
from pumice.program import ProgramError, load
from pumice.program.archive import read_arrays


def read_recordings(paths: list) -> list:
    """The samples in files, as ``encoding.json`` says that the program reads them."""
    if not paths:
        return []
    encoder = Encoder(json.loads(Path("encoding.json").read_text(encoding="utf-8")))
    return [encoder.sample(read(Path(path)), path) for path in paths]


def main() -> int:
    """Run, compare, leave a mark that everything was written."""
    parser = argparse.ArgumentParser(description="Run the program of this folder as a Lava network.")
    parser.add_argument("--parts", choices=PARTS, default=LAYERS, help="which processes make the network")
    parser.add_argument("--parent", type=int, help="end as soon as this process is gone")
    parser.add_argument("recordings", nargs="*", help="files of events of your own, in place of inputs.npz")
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
        program = load("program.npz")
        check_parts(program, arguments.parts)
        samples = read_recordings(arguments.recordings)
        inputs = source_arrays(program, samples) if samples else read_arrays("inputs.npz")
    except (ProgramError, Refused, OSError, ValueError) as error:
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
    flags = inputs["flags"][:, 0]
    if samples:
        differing = check_recordings(program, samples, arguments.recordings, flags, outputs)
    else:
        differing = check(program, flags, outputs)
    (outputs / "done").touch()
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
