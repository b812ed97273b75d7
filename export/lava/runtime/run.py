"""``python run.py`` in a bundle: run ``program.npz`` on ``inputs.npz``, write the ports' values to ``outputs/``.

The bundle's driver copies this file to the bundle's root, beside the package that it imports.
"""

from pathlib import Path

import numpy as np
from pumice.export.lava.runtime.failures import reported
from pumice.export.lava.runtime.network import run
from pumice.quantize.program import load


@reported
def main() -> None:
    """Load, run, leave a mark that everything was written."""
    outputs = Path("outputs")
    outputs.mkdir(exist_ok=True)
    with np.load("inputs.npz", allow_pickle=False) as archive:
        inputs = dict(archive)
    run(load("program.npz"), inputs, outputs)
    (outputs / "done").touch()


if __name__ == "__main__":
    main()
